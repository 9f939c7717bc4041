import { readFile } from 'node:fs/promises';

export interface Block {
  language: string;
  text: string;
}

/** A page of the repository, by its path there. */
export function readPage(path: string): Promise<string> {
  return readFile(new URL(`../../${path}`, import.meta.url), 'utf8');
}

/** Its fenced blocks, from top to bottom. */
export function blocksOf(page: string): Block[] {
  return [...page.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language = '', text = '']) => ({ language, text }));
}

/** The rows of its tables whose first cell is code; cells without their backticks. */
export function rowsOf(page: string): string[][] {
  const rows = page.split('\n').filter((line) => line.startsWith('| `'));
  return rows.map((row) => row.split('|').slice(1, -1)).map((row) => row.map((cell) => cell.trim().replace(/`/g, '')));
}
