import { startPostgres } from '../src/devstack/postgres.js';
import { CREATE, run } from './lineitem.js';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
const dataDir = '/tmp/cols/pg';
const fresh = !existsSync(dataDir);
const server = await startPostgres({ dataDir, durable: false, port: 54987 });
console.log(server.url(), server.pid);
if (fresh) {
  await run(server.url(), CREATE);
  const done = spawnSync('psql', ['-qXc', "\\copy lineitem FROM '/tmp/longhaul-lineitem-6001215/whole.csv' (FORMAT csv)", server.url()]);
  console.log(done.stderr.toString());
  await run(server.url(), 'CREATE INDEX ON lineitem (l_orderkey)');
  await run(server.url(), 'VACUUM ANALYZE lineitem');
}
console.log('ready');
process.on('SIGTERM', () => void server.stop());
await server.exited;
