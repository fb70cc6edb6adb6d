import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { postgresAccount } from './account.js';
import { portFor } from './ports.js';
import { postgresBinaries } from './postgres-binaries.js';
import { preparePostgresData, SUPERUSER, type PostgresData } from './postgres-data.js';
import { DevstackError, logToStderr, reasonOf, type Log } from './report.js';
import { spawnSupervised, type Supervised } from './supervised.js';

export interface PostgresOptions {
  /** Folder of this server's data; made if missing. A later start on the same folder finds the same data and password. */
  readonly dataDir: string;
  /** TCP port on 127.0.0.1; 0 or none = one that is free. */
  readonly port?: number;
  /** Server settings, as in postgresql.conf; they win over ours. */
  readonly settings?: Readonly<Record<string, string>>;
  /** false: fast, and a crash of the *machine* (not of the server) may lose or break the data. For tests. Default true. */
  readonly durable?: boolean;
  readonly log?: Log;
}

/** A running embedded Postgres 18. It listens on 127.0.0.1 only, asks everybody for a password, and ends with this process. */
export interface PostgresServer {
  readonly port: number;
  /** Process id of the postmaster. */
  readonly pid: number;
  /** Connection URL of the superuser, password included: not for logs. `database` defaults to "postgres". */
  readonly url: (database?: string) => string;
  /** fast (default): open transactions are rolled back. immediate: as after a crash, recovery at the next start. */
  readonly stop: (options?: { mode?: 'fast' | 'immediate' }) => Promise<void>;
  /** Resolves when the server has ended, asked to or not. */
  readonly exited: Promise<unknown>;
}

/** Sized for the demo and the benchmark: a few GB of rows, tens of sessions, a laptop. */
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  shared_buffers: '256MB',
  max_connections: '100',
  max_wal_size: '4GB',
  checkpoint_timeout: '15min',
  log_timezone: 'UTC',
  timezone: 'UTC',
};

const NOT_DURABLE = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' };

/** Milliseconds for recovery after a crash; a server that works at it is not ended before. */
const START_TIMEOUT = 120_000;

/** Milliseconds for the checkpoint of an orderly end. */
const STOP_GRACE = 20_000;

/**
 * Starts an embedded Postgres and waits until it answers.
 * @throws DevstackError if it can't be started: what the server said, and where its log is.
 */
export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  const account = await postgresAccount();
  const binaries = await postgresBinaries();
  const data = await preparePostgresData(options.dataDir, binaries.initdb, account, options.log ?? logToStderr);
  // Somebody may take the free port before Postgres does.
  for (let triesLeft = options.port ? 0 : 2; ; triesLeft--) {
    const port = await portFor('Postgres', options.port);
    const server = await spawnSupervised(binaries.postgres, serverArgs(data, port, options), {
      ...account,
      logFile: data.logFile,
      cwd: data.cluster,
      stopSignal: 'SIGINT',
      graceMs: STOP_GRACE,
    });
    const url = urlOf(port, data.password);
    const trouble = await untilAnswering(server, url('postgres')).catch(reasonOf);
    if (trouble === undefined) return { port, url, pid: server.pid, exited: server.exited, stop: stopOf(server) };
    await server.stop();
    const said = await server.logged();
    if (triesLeft === 0 || !said.includes('Address already in use')) throw startError(data, trouble, said);
  }
}

function serverArgs(data: PostgresData, port: number, options: PostgresOptions): string[] {
  const durability = options.durable === false ? NOT_DURABLE : {};
  const settings = { ...SETTINGS, ...durability, ...options.settings, port: String(port) };
  return ['-D', data.cluster, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
}

function urlOf(port: number, password: string): (database?: string) => string {
  return (database = 'postgres') =>
    `postgres://${SUPERUSER}:${password}@127.0.0.1:${port}/${encodeURIComponent(database)}`;
}

function stopOf(server: Supervised): PostgresServer['stop'] {
  return async ({ mode = 'fast' } = {}) => {
    await server.stop(mode === 'fast' ? 'SIGINT' : 'SIGQUIT');
  };
}

/** @throws Error if the server has ended or is not ready in time. */
async function untilAnswering(server: Supervised, url: string): Promise<undefined> {
  const deadline = Date.now() + START_TIMEOUT;
  for (;;) {
    const trouble = await trySession(url);
    if (server.exit()) throw new Error('it ended at once');
    // It is ours, not another server at the same port: nobody else knows the password.
    if (trouble === undefined) return undefined;
    if (Date.now() > deadline) throw new Error(`no session in ${START_TIMEOUT / 1000} s: ${trouble}`);
    await sleep(50);
  }
}

async function trySession(url: string): Promise<string | undefined> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return undefined;
  } catch (error) {
    return reasonOf(error);
  } finally {
    await client.end().catch(() => undefined);
  }
}

function startError(data: PostgresData, trouble: string, said: string): DevstackError {
  const lines = said.trim().split('\n').slice(-5).join('\n  ');
  return new DevstackError(`Postgres did not start: ${trouble}.\n  ${lines}\nIts log: ${data.logFile}`);
}
