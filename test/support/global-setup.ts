import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { startPostgres, type PostgresServer } from '../../src/devstack/postgres.js';
import { startTemporalServer } from '../../src/devstack/temporal-server.js';

/** Addresses of the servers that a test file has to itself while it runs; `testServers` in a test file. */
export interface TestServers {
  /** Superuser's URL of each Postgres, database "postgres". */
  readonly postgres: { readonly source: string; readonly destination: string };
  readonly temporal: { readonly address: string; readonly cli: string };
}

declare module 'vitest' {
  interface ProvidedContext {
    /** One set for each file that runs at the same time. */
    servers: readonly TestServers[];
  }
}

/** Small and not durable: what matters is that many databases come and go quickly on two cores. */
const POSTGRES_SETTINGS = { shared_buffers: '128MB', max_connections: '150', max_prepared_transactions: '20' };

interface Lane {
  readonly servers: TestServers;
  stop(): Promise<void>;
}

/** For each lane one Temporal dev server and two Postgres servers; they end with the run, even if it is killed. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-test-'));
  await chmod(folder, 0o755); // Run by root, Postgres runs as nobody and must get in; what is inside is closed.
  const names = Array.from({ length: lanesOf(project) }, (_, lane) => join(folder, `lane-${lane + 1}`));
  const lanes = await Promise.all(names.map(startLane));
  project.provide(
    'servers',
    lanes.map(({ servers }) => servers),
  );
  return async () => {
    await Promise.all(lanes.map((lane) => lane.stop()));
    await rm(folder, { recursive: true, force: true });
  };
}

/** As many as files can run at the same time: a run of one file needs but one. */
function lanesOf({ config, vitest }: TestProject): number {
  return Math.max(1, Math.min(config.maxWorkers, vitest.state.getPaths().length));
}

async function startLane(folder: string): Promise<Lane> {
  await mkdir(folder, { mode: 0o755 });
  const postgres = (name: string): Promise<PostgresServer> =>
    startPostgres({ dataDir: join(folder, name), settings: POSTGRES_SETTINGS, durable: false });
  const started = await Promise.all([
    postgres('source'),
    postgres('destination'),
    startTemporalServer({ dbFile: join(folder, 'temporal.db'), headless: true }),
  ]);
  const [source, destination, temporal] = started;
  const servers = {
    postgres: { source: source.url(), destination: destination.url() },
    temporal: { address: temporal.address, cli: temporal.cli },
  };
  const stop = async () => {
    await Promise.all(started.map((server) => server.stop()));
  };
  return { servers, stop };
}
