import pg from 'pg';

/**
 * Returns a PL/pgSQL block as a DO statement. The body is a quoted literal, because the name of a schema may contain
 * any dollar quote.
 */
export function doBlock(body: string): string {
  return `do ${pg.escapeLiteral(body)};\n`;
}
