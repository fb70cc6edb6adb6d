import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { startPostgres, type PostgresServer } from '../../src/devstack/postgres.js';
import { startTemporalServer } from '../../src/devstack/temporal-server.js';

/** Addresses of the servers that live for the whole run of the tests; `inject('servers')` in a test file. */
export interface TestServers {
  /** Superuser's URL of each Postgres, database "postgres". */
  readonly postgres: { readonly source: string; readonly destination: string };
  readonly temporal: { readonly address: string; readonly cli: string };
}

declare module 'vitest' {
  interface ProvidedContext {
    servers: TestServers;
  }
}

/** Small and not durable: what matters is that many databases come and go quickly on two cores. */
const POSTGRES_SETTINGS = { shared_buffers: '128MB', max_connections: '150', max_prepared_transactions: '20' };

/** One Temporal dev server and two Postgres servers for all test files; they end with the run, even if it is killed. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-test-'));
  await chmod(folder, 0o755); // Run by root, Postgres runs as nobody and must get in; what is inside is closed.
  const postgres = (name: string): Promise<PostgresServer> =>
    startPostgres({ dataDir: join(folder, name), settings: POSTGRES_SETTINGS, durable: false });
  const started = await Promise.all([
    postgres('source'),
    postgres('destination'),
    startTemporalServer({ dbFile: join(folder, 'temporal.db'), headless: true }),
  ]);
  const [source, destination, temporal] = started;
  project.provide('servers', {
    postgres: { source: source.url(), destination: destination.url() },
    temporal: { address: temporal.address, cli: temporal.cli },
  });
  return async () => {
    await Promise.all(started.map((server) => server.stop()));
    await rm(folder, { recursive: true, force: true });
  };
}
