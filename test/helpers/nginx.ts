import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import type { Test } from 'tap';
import { makeFolder } from './command.js';
import { startDaemon } from './daemon.js';
import { blocksOf, readPage } from './documentation.js';
import { freePort } from './free-port.js';

/** To be given to a test as `skip`. */
export const withoutNginx = spawnSync('nginx', ['-v']).error === undefined ? false : 'nginx is not installed';

export interface NginxOptions {
  /** Another server, for what is not the bus's. */
  site?: string | undefined;
  /** Which of the page's configurations. */
  block?: number | undefined;
  /** What to change in the lines, such as times that a test cannot wait for. */
  edit?: ((lines: string) => string) | undefined;
}

/**
 * Runs nginx with the lines of docs/nginx.md, on a free port, in front of a server, and of another one for what is not the
 * bus's; ended with the test.
 */
export async function startNginx(
  t: Test,
  upstream: string,
  { site, block = 0, edit = (lines) => lines }: NginxOptions = {},
): Promise<string> {
  const folder = makeFolder(t);
  const port = await freePort();
  const lines =
    blocksOf(await readPage('docs/nginx.md')).filter(({ language }) => language === 'nginx')[block]?.text ?? '';
  const rest = site === undefined ? '' : `location / { proxy_pass ${site}; }`;
  const server = edit(lines)
    .replace('127.0.0.1:3000', new URL(upstream).host)
    .replace('listen 80;', `listen 127.0.0.1:${port}; ${rest}`);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  await writeFile(
    `${folder}/nginx.conf`,
    `daemon off;
    # Where root starts it, its workers could not enter the folder otherwise.
    ${process.getuid?.() === 0 ? 'user root;' : ''}
    pid ${folder}/pid;
    error_log stderr warn;
    events {}
    http {
      access_log off;
      # What a site may have set for its pages.
      gzip on;
      gzip_min_length 0;
      gzip_proxied any;
      gzip_types text/plain application/json;
      ${temporary.map((name) => `${name}_temp_path ${folder}/${name};`).join('\n')}
      ${server}
    }`,
  );
  const url = `http://127.0.0.1:${port}`;
  await startDaemon(t, 'nginx', ['-p', folder, '-c', `${folder}/nginx.conf`, '-e', 'stderr'], async () => {
    const answer = await fetch(url).catch(() => undefined);
    return answer !== undefined;
  });
  return url;
}
