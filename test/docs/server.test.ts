import t from 'tap';
import { serveCommand } from '../../src/commands/serve.js';
import { blocksOf, readPage } from '../helpers/documentation.js';

const page = await readPage('docs/server.md');

t.test('docs/server.md lists every option of postbus serve, with the default that --help tells', async (t) => {
  const table = page.split('\n').filter((line) => /^\| (`--[a-z-]+`)? \|/.test(line));
  for (const [name, { help }] of Object.entries(serveCommand.options)) {
    const row = table.find((line) => line.startsWith(`| \`--${name}\` |`));
    t.ok(row, name);
    const fallback = /default: (?:[A-Z_]+, or )?(\d\S*)/.exec(help)?.[1];
    if (fallback !== undefined) t.match(row, `\`${fallback}\``, name);
  }
  const documented = table.flatMap((line) => /^\| `--([a-z-]+)`/.exec(line)?.[1] ?? []);
  t.strictSame(documented.sort(), Object.keys(serveCommand.options).sort());
});

t.test(
  'the systemd unit of docs/server.md is started at boot, after the network, and again whenever it fails',
  async (t) => {
    const unit = blocksOf(page).find(({ language }) => language === 'ini')?.text ?? '';
    const sections = unit.split(/^(?=\[)/m).map((section) => section.split('\n').filter((line) => line !== ''));
    const named = Object.fromEntries(sections.map(([name = '', ...lines]) => [name, lines]));
    t.strictSame(Object.keys(named), ['[Unit]', '[Service]', '[Install]']);
    t.match(named['[Unit]']?.join(), /After=network-online\.target postgresql\.service,StartLimitIntervalSec=0/);
    t.match(named['[Service]']?.join(), /Restart=on-failure,RestartSec=\d/);
    t.strictSame(named['[Install]'], ['WantedBy=multi-user.target']);
  },
);
