import pg from 'pg';

/** A block of PL/pgSQL as a statement; as a literal, because the name of a schema may hold any dollar quote. */
export function doBlock(body: string): string {
  return `do ${pg.escapeLiteral(body)};\n`;
}
