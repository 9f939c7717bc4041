import { type Browser, type BrowserContext, chromium } from 'playwright-core';
import type { Test } from 'tap';

const endpoint = process.env.POSTBUS_TEST_BROWSER;

/** For the options of a test: says why it is skipped where there is no browser. */
export const needsBrowser = {
  skip: endpoint === undefined && 'no Chromium in /usr/bin; set POSTBUS_CHROMIUM to its path',
};

/** The browser of all test files, joined with the first page and left with `t`. */
export class TestBrowser {
  #browser: Promise<Browser> | undefined;

  constructor(t: Test) {
    t.teardown(async () => (await this.#browser)?.close());
  }

  /** An empty profile; closed with the test. */
  async openProfile(t: Test): Promise<BrowserContext> {
    this.#browser ??= join();
    const context = await (await this.#browser).newContext();
    context.setDefaultTimeout(60_000);
    t.teardown(() => context.close());
    return context;
  }
}

function join(): Promise<Browser> {
  if (endpoint === undefined) throw new Error('the test lacks needsBrowser');
  return chromium.connect(endpoint, { timeout: 60_000 });
}
