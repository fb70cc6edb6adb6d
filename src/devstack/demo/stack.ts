import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { startPostgres, type PostgresServer } from '../postgres.js';
import { removePostgresData } from '../postgres-data.js';
import type { Log } from '../report.js';
import { spawnSupervised, type Supervised } from '../supervised.js';
import { startTemporalServer, type TemporalServer } from '../temporal-server.js';
import { DEMO_TABLES } from './tables.js';

const CONFIG = `# The worker's side of the demo: names for endpoints. Secrets come from the environment.
connections:
  shop:
    type: postgres
    url: \${DEMO_SOURCE_URL}
  warehouse:
    type: postgres
    url: \${DEMO_DESTINATION_URL}
`;

export const TASK_QUEUE = 'longhaul';

/** Two Postgres servers, a Temporal server, and workers that can be killed. All of them end with this process. */
export interface DemoStack {
  readonly temporal: TemporalServer;
  readonly sourceUrl: string;
  readonly destinationUrl: string;
  /** Starts one more worker process. */
  startWorker(): Promise<Supervised>;
  /** Ends everything and removes the data. */
  stop(): Promise<void>;
}

/** Starts the servers on free ports, with their data in `dir`, which is emptied first. */
export async function startStack(dir: string, log: Log): Promise<DemoStack> {
  await removeData(dir);
  await mkdir(dir, { recursive: true });
  const config = join(dir, 'longhaul.yaml');
  await writeFile(config, CONFIG);
  const [source, destination, temporal] = await Promise.all([
    startPostgres({ dataDir: join(dir, 'source'), log }),
    startPostgres({ dataDir: join(dir, 'destination'), log }),
    startTemporalServer({ dbFile: join(dir, 'temporal.db'), log }),
  ]);
  const sourceUrl = await createDatabase(source, 'shop');
  const destinationUrl = await createDatabase(destination, 'warehouse');
  const env = {
    ...process.env,
    TEMPORAL_ADDRESS: temporal.address,
    DEMO_SOURCE_URL: sourceUrl,
    DEMO_DESTINATION_URL: destinationUrl,
  };
  const workers: Supervised[] = [];
  return {
    temporal,
    sourceUrl,
    destinationUrl,
    startWorker: async () => {
      const worker = await startWorker(dir, config, env);
      workers.push(worker);
      return worker;
    },
    stop: async () => {
      await Promise.all(workers.map((worker) => worker.stop()));
      await Promise.all([temporal.stop(), source.stop(), destination.stop()]);
      await removeData(dir);
    },
  };
}

/** Also removes data that Postgres keeps elsewhere because its account may not enter `dir`. */
async function removeData(dir: string): Promise<void> {
  for (const server of ['source', 'destination']) await removePostgresData(join(dir, server));
  await rm(dir, { recursive: true, force: true });
}

function startWorker(dir: string, config: string, env: NodeJS.ProcessEnv): Promise<Supervised> {
  const cli = fileURLToPath(new URL('../../../../bin/longhaul.js', import.meta.url));
  return spawnSupervised(process.execPath, [cli, 'worker', '--config', config], {
    logFile: join(dir, 'worker.log'),
    cwd: dir,
    env,
    stopSignal: 'SIGTERM',
    graceMs: 15_000,
  });
}

async function createDatabase(server: PostgresServer, name: string): Promise<string> {
  await execute(server.url(), [`CREATE DATABASE ${name}`]);
  return server.url(name);
}

async function execute(url: string, statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

/** Makes and fills the demo's tables: about `rows` rows in all. */
export async function fillTables(stack: DemoStack, rows: number): Promise<void> {
  const schemas = [...new Set(DEMO_TABLES.map((table) => table.name.split('.')[0]!))];
  const createSchemas = schemas.map((schema) => `CREATE SCHEMA ${schema}`);
  await execute(stack.destinationUrl, createSchemas);
  await execute(stack.sourceUrl, [...createSchemas, ...DEMO_TABLES.map((table) => table.create)]);
  await Promise.all(
    DEMO_TABLES.map((table) =>
      execute(stack.sourceUrl, [table.fill(Math.round(rows * table.share)), `ANALYZE ${table.name}`]),
    ),
  );
}
