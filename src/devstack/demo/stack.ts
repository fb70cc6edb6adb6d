import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startPostgres, type PostgresServer } from '../postgres.js';
import { removePostgresData } from '../postgres-data.js';
import type { Log } from '../report.js';
import { startTemporalServer, type TemporalServer } from '../temporal-server.js';
import { execute } from './sql.js';
import { DEMO_TABLES } from './tables.js';
import { makeWorkers, type Workers } from './workers.js';

const CONFIG = `# The worker's side of the demo: names for endpoints. Secrets come from the environment.
connections:
  shop:
    type: postgres
    url: \${DEMO_SOURCE_URL}
  warehouse:
    type: postgres
    url: \${DEMO_DESTINATION_URL}
`;

/** Two Postgres servers, a Temporal server, and workers that can be killed. All of them end with this process. */
export interface DemoStack {
  readonly temporal: TemporalServer;
  readonly sourceUrl: string;
  readonly destinationUrl: string;
  readonly workers: Workers;
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
  const workers = makeWorkers(dir, config, env);
  return {
    temporal,
    sourceUrl,
    destinationUrl,
    workers,
    stop: async () => {
      await workers.stop();
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

async function createDatabase(server: PostgresServer, name: string): Promise<string> {
  await execute(server.url(), [`CREATE DATABASE ${name}`]);
  return server.url(name);
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
