import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';
import t from 'tap';
import { createDatabase } from '../helpers/database.js';
import { blocksOf, readPage } from '../helpers/documentation.js';

const readme = await readPage('README.md');
const shown = (wanted: string) => blocksOf(readme).find(({ language }) => language === wanted)?.text ?? '';
const hasPhp = spawnSync('php', ['-r', 'exit(extension_loaded("pdo_pgsql") ? 0 : 1);']).status === 0;
const hasRuby = spawnSync('ruby', ['-e', `require 'pg'; require 'json'`]).status === 0;

async function published(url: string, command: string, flag: string, program: string): Promise<void> {
  await promisify(execFile)(command, [flag, program], { env: { ...process.env, DATABASE_URL: url } });
}

t.test("the README's PHP publishes", { skip: !hasPhp && 'PHP with PDO is not on this machine' }, async (t) => {
  const { url, query } = await createDatabase(t);
  const { hostname, port, pathname, username, password } = new URL(url);
  const connect = `$pdo = new PDO('pgsql:host=${hostname};port=${port};dbname=${pathname.slice(1)}', '${username}', '${password}');`;
  await published(url, 'php', '-r', connect + shown('php'));
  t.strictSame(await query(`select data from message_bus.backlog('/orders/7')`), [{ data: { status: 'paid' } }]);
});

t.test(
  "the README's line for Rails publishes",
  { skip: !hasRuby && 'Ruby with pg is not on this machine' },
  async (t) => {
    const { url, query } = await createDatabase(t);
    // As ActiveRecord's adapter for Postgres passes it on.
    const model = `require 'pg'
    require 'json'
    class PG::Connection
      def exec_query(sql, _name, binds) = exec_params(sql, binds)
    end
    class Order < Struct.new(:id, :status)
      def self.connection = @connection ||= PG.connect(ENV.fetch('DATABASE_URL'))
      def to_json = JSON.generate(to_h)
      def announce
        ${shown('ruby')}
      end
    end
    Order.new(7, 'paid').announce`;
    await published(url, 'ruby', '-e', model);
    t.strictSame(await query(`select data from message_bus.backlog('/orders/7')`), [
      { data: { id: 7, status: 'paid' } },
    ]);
  },
);
