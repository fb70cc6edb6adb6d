import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { spawnSupervised, type Supervised } from '../../src/devstack/supervised.js';

/** Worker processes as a person starts them, `longhaul worker` from dist/, on a task queue of their own. */
export interface TestWorkers {
  readonly taskQueue: string;
  /** Path of the longhaul.yaml, for other commands. */
  readonly config: string;
  readonly env: NodeJS.ProcessEnv;
  start(): Promise<Supervised>;
  /** Everything that all workers printed. */
  log(): Promise<string>;
  /** Ends the workers that still run; others can be started after them. */
  stopAll(): Promise<void>;
  /** The same, for good. */
  stop(): Promise<void>;
}

/** Two connections, `shop` (source) and `warehouse` (destination), given by URL through the environment. */
export async function testWorkers(options: {
  temporal: string;
  taskQueue: string;
  sourceUrl: string;
  destinationUrl: string;
  shutdownGrace?: string;
  /** Of `warehouse`. */
  ledgerSchema?: string;
  /** More connections of longhaul.yaml, each a line. */
  connections?: readonly string[];
}): Promise<TestWorkers> {
  const dir = await mkdtemp(join(tmpdir(), 'longhaul-worker-'));
  const config = join(dir, 'longhaul.yaml');
  await writeFile(
    config,
    `connections:
  shop: {type: postgres, url: "\${SHOP_URL}"}
  warehouse: {type: postgres, url: "\${WAREHOUSE_URL}", ledgerSchema: ${options.ledgerSchema ?? 'longhaul'}}
${(options.connections ?? []).map((line) => `  ${line}\n`).join('')}worker: {taskQueue: ${options.taskQueue}, shutdownGrace: ${options.shutdownGrace ?? '10s'}, logLevel: debug}
`,
  );
  const env = {
    ...process.env,
    TEMPORAL_ADDRESS: options.temporal,
    SHOP_URL: options.sourceUrl,
    WAREHOUSE_URL: options.destinationUrl,
  };
  const started: Supervised[] = [];
  const logFile = join(dir, 'worker.log');
  const stopAll = async () => {
    await Promise.all(started.splice(0).map((worker) => worker.stop()));
  };
  return {
    taskQueue: options.taskQueue,
    config,
    env,
    async start() {
      const args = [resolve('bin/longhaul.js'), 'worker', '--config', config];
      const grace = { stopSignal: 'SIGTERM', graceMs: 20_000 } as const;
      const worker = await spawnSupervised(process.execPath, args, { logFile, cwd: dir, env, ...grace });
      started.push(worker);
      return worker;
    },
    log: () => readFile(logFile, 'utf8'),
    stopAll,
    async stop() {
      await stopAll();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
