// One Chromium for all test files that need one: to start it takes longer than most of their tests.
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

// The first has no windows to draw: the tests of pages take two thirds of the CPU with it.
const candidates = ['chromium-headless-shell', 'chromium', 'chromium-browser', 'google-chrome'].map(
  (name) => `/usr/bin/${name}`,
);
const executablePath = process.env.POSTBUS_CHROMIUM ?? candidates.find((path) => existsSync(path));

/** Undefined where there is no browser. */
export async function startBrowser() {
  if (executablePath === undefined) return;
  return chromium.launchServer({
    executablePath,
    timeout: 120_000,
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
      // Pages share processes: to start one costs more than what most pages do in it.
      '--renderer-process-limit=2',
    ],
  });
}
