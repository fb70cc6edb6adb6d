import pg from 'pg';
import { CopyIn, CopyOut, copySocket, pipeFrames } from '../src/connectors/postgres/wire/index.js';
import type { FloorTask, Usage } from './floor.js';

/** The process that copies for Longhaul: its CPU and memory are its own, and it has started before the clock does. */
const MB = 2 ** 20;

process.once('message', (task: FloorTask) => {
  void measured(task).then((usage) => {
    process.send!(usage);
    process.disconnect();
  });
});

async function measured(task: FloorTask): Promise<Usage> {
  const idleRssMB = process.memoryUsage.rss() / MB;
  const cpu = process.cpuUsage();
  const start = process.hrtime.bigint();
  await Promise.all(task.selects.map((select) => copyOne(task, select)));
  const wallSeconds = Number(process.hrtime.bigint() - start) / 1e9;
  const { user, system } = process.cpuUsage(cpu);
  // maxRSS is in kilobytes, and the highest since the process began.
  return {
    wallSeconds,
    cpuSeconds: (user + system) / 1e6,
    idleRssMB,
    peakRssMB: process.resourceUsage().maxRSS / 1024,
  };
}

async function copyOne({ source, destination }: FloorTask, select: string): Promise<void> {
  const from = new pg.Client({ connectionString: source, stream: copySocket });
  const to = new pg.Client({ connectionString: destination });
  await Promise.all([from.connect(), to.connect()]);
  const sql = `COPY (${select}) TO STDOUT (FORMAT binary)`;
  const stream = new CopyOut(from, { sql, format: 'postgres.copy.binary' });
  const counts = await pipeFrames(stream, new CopyIn(to, { sql: 'COPY lineitem FROM STDIN (FORMAT binary)' }));
  if (counts.rowsRead !== counts.rowsWritten) throw new Error(`read ${counts.rowsRead}, wrote ${counts.rowsWritten}`);
  await Promise.all([from.end(), to.end()]);
}
process.send!('ready');
