import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { spawnSupervised } from '../src/devstack/supervised.js';
import { startTemporalServer } from '../src/devstack/temporal-server.js';
import type { JobReport } from '../workflows/messages.js';
import type { FloorTask } from './floor.js';
import { activitySpans } from './phases.js';
import { cpuSeconds, descendantsMB, memoryMB, resetPeak } from './proc.js';

/** One contestant's one run. Memory is that of the copying process, or 0 where it is not measured. */
export interface Usage {
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  readonly peakRssMB: number;
  readonly idleRssMB: number;
  /** Seconds of each kind of activity, of Longhaul alone. */
  readonly phases?: ReadonlyMap<string, number>;
  /** The most that processes which the worker started took together, looked at now and then. */
  readonly programsMB?: number;
  /** Of Longhaul, by its report. */
  readonly rows?: number;
}

/** One worker process for the whole benchmark, as it runs in production. */
export interface BenchWorker extends AsyncDisposable {
  /** Resident memory once it polls, before its first job. */
  readonly idleRssMB: number;
  run(job: Readonly<Record<string, unknown>>): Promise<Usage>;
}

export interface LonghaulContestant extends AsyncDisposable {
  readonly idleRssMB: number;
  copy(task: FloorTask): Promise<Usage>;
}

const CONFIG = `  source: {type: postgres, url: "\${BENCH_SOURCE_URL}"}
  destination: {type: postgres, url: "\${BENCH_DESTINATION_URL}"}
`;

export async function startLonghaul(source: string, destination: string): Promise<LonghaulContestant> {
  const worker = await startWorker(CONFIG, { BENCH_SOURCE_URL: source, BENCH_DESTINATION_URL: destination });
  return {
    idleRssMB: worker.idleRssMB,
    copy: (task) => worker.run(jobOf(task)),
    [Symbol.asyncDispose]: () => worker[Symbol.asyncDispose](),
  };
}

function jobOf({ parallelism, verify, partitions = parallelism }: FloorTask) {
  const partition = { by: 'l_orderkey', count: partitions };
  const tables = [{ from: 'public.lineitem', partition, ...(verify && { verify }) }];
  return { name: 'floor', source: 'source', destination: 'destination', parallelism, tables };
}

/** `connections`: of longhaul.yaml, indented. */
export async function startWorker(
  connections: string,
  variables: Readonly<Record<string, string>>,
): Promise<BenchWorker> {
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-bench-'));
  const config = join(folder, 'longhaul.yaml');
  await writeFile(config, `connections:\n${connections}worker: {taskQueue: bench}\n`);
  const temporal = await startTemporalServer({ dbFile: join(folder, 'temporal.db'), headless: true });
  const cli = fileURLToPath(new URL('../../bin/longhaul.js', import.meta.url));
  const worker = await spawnSupervised(process.execPath, [cli, 'worker', '--config', config], {
    logFile: join(folder, 'worker.log'),
    cwd: folder,
    env: { ...process.env, TEMPORAL_ADDRESS: temporal.address, ...variables },
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
    run: (job) => runJob(client, worker.pid, job),
    async [Symbol.asyncDispose]() {
      await connection.close();
      await worker.stop();
      await temporal.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function runJob(client: Client, pid: number, job: Readonly<Record<string, unknown>>): Promise<Usage> {
  await resetPeak(pid);
  const idleRssMB = await memoryMB(pid, 'VmRSS');
  const before = await cpuSeconds(pid);
  const workflowId = `${String(job.name)}-${Date.now()}`;
  let programsMB = 0;
  const look = setInterval(() => void descendantsMB(pid).then((now) => (programsMB = Math.max(programsMB, now))), 500);
  const options = { taskQueue: 'bench', workflowId, args: [job] };
  const report = (await client.workflow.execute('copyJob', options).finally(() => clearInterval(look))) as JobReport;
  const children = report.tables.flatMap(({ child }) => (child === undefined ? [] : [child]));
  return {
    rows: report.rows,
    phases: await activitySpans(client, [workflowId, ...children]),
    wallSeconds: (Date.parse(report.endedAt!) - Date.parse(report.startedAt)) / 1000,
    cpuSeconds: (await cpuSeconds(pid)) - before,
    peakRssMB: await memoryMB(pid, 'VmHWM'),
    ...{ idleRssMB, programsMB },
  };
}
