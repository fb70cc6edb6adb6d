import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { spawnSupervised } from '../src/devstack/supervised.js';
import { startTemporalServer } from '../src/devstack/temporal-server.js';
import type { JobReport } from '../workflows/messages.js';
import type { FloorTask, Usage } from './floor.js';
import { activitySpans } from './phases.js';

const CONFIG = `connections:
  source: {type: postgres, url: "\${BENCH_SOURCE_URL}"}
  destination: {type: postgres, url: "\${BENCH_DESTINATION_URL}"}
worker: {taskQueue: bench}
`;

/** Linux counts CPU in ticks of 1/100 s. */
const TICKS = 100;

/** One worker process for the whole benchmark, as it runs in production. */
export interface LonghaulContestant extends AsyncDisposable {
  /** Resident memory once it polls, before its first job. */
  readonly idleRssMB: number;
  copy(task: FloorTask): Promise<Usage>;
}

export async function startLonghaul(source: string, destination: string): Promise<LonghaulContestant> {
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-bench-'));
  const config = join(folder, 'longhaul.yaml');
  await writeFile(config, CONFIG);
  const temporal = await startTemporalServer({ dbFile: join(folder, 'temporal.db'), headless: true });
  const cli = fileURLToPath(new URL('../../bin/longhaul.js', import.meta.url));
  const worker = await spawnSupervised(process.execPath, [cli, 'worker', '--config', config], {
    logFile: join(folder, 'worker.log'),
    cwd: folder,
    env: {
      ...process.env,
      TEMPORAL_ADDRESS: temporal.address,
      BENCH_SOURCE_URL: source,
      BENCH_DESTINATION_URL: destination,
    },
    stopSignal: 'SIGTERM',
    graceMs: 10_000,
  });
  while (!(await worker.logged()).includes('Worker started')) await sleep(100);
  await sleep(3_000);
  const connection = await Connection.connect({ address: temporal.address });
  const client = new Client({ connection });
  const idleRssMB = await memoryMB(worker.pid, 'VmRSS');
  return {
    idleRssMB,
    copy: (task) => copy(client, worker.pid, task),
    async [Symbol.asyncDispose]() {
      await connection.close();
      await worker.stop();
      await temporal.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function copy(client: Client, pid: number, task: FloorTask): Promise<Usage> {
  const { parallelism, verify, partitions = parallelism } = task;
  const partition = { by: 'l_orderkey', count: partitions };
  const tables = [{ from: 'public.lineitem', partition, ...(verify && { verify }) }];
  const job = { name: 'floor', source: 'source', destination: 'destination', parallelism, tables };
  // 5: the highest resident memory is counted anew (proc(5), clear_refs).
  await writeFile(`/proc/${pid}/clear_refs`, '5');
  const idleRssMB = await memoryMB(pid, 'VmRSS');
  const before = await cpuSeconds(pid);
  const workflowId = `floor-${Date.now()}`;
  const report = (await client.workflow.execute('copyJob', {
    taskQueue: 'bench',
    workflowId,
    args: [job],
  })) as JobReport;
  const children = report.tables.flatMap(({ child }) => (child === undefined ? [] : [child]));
  return {
    phases: await activitySpans(client, [workflowId, ...children]),
    wallSeconds: (Date.parse(report.endedAt!) - Date.parse(report.startedAt)) / 1000,
    cpuSeconds: (await cpuSeconds(pid)) - before,
    peakRssMB: await memoryMB(pid, 'VmHWM'),
    idleRssMB,
  };
}

async function memoryMB(pid: number, field: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)![1]) / 1024;
}

/** User and system time of all threads: fields 14 and 15, counted behind the name, which may hold spaces. */
async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}
