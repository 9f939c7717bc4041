import { existsSync } from 'node:fs';
import { type Browser, type BrowserContext, chromium } from 'playwright-core';
import type { Test } from 'tap';

const candidates = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const wanted = process.env.POSTBUS_CHROMIUM;
const executablePath = wanted ?? candidates.find((path) => existsSync(path));

/** For the options of a test: says why it is skipped where there is no browser. */
export const needsBrowser = {
  skip: executablePath === undefined && `no Chromium in ${candidates.join(', ')}; set POSTBUS_CHROMIUM to its path`,
};

/** One browser for a test file, started with its first page and closed with `t`. */
export class TestBrowser {
  #browser: Promise<Browser> | undefined;

  constructor(t: Test) {
    t.teardown(async () => (await this.#browser)?.close());
  }

  /** An empty profile; closed with the test. */
  async openProfile(t: Test): Promise<BrowserContext> {
    this.#browser ??= launch();
    const context = await (await this.#browser).newContext();
    t.teardown(() => context.close());
    return context;
  }
}

function launch(): Promise<Browser> {
  if (executablePath === undefined) throw new Error('the test lacks needsBrowser');
  return chromium.launch({
    executablePath,
    // Root may not have a sandbox, and a browser at rest should not talk to its maker.
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}
