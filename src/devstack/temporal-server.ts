import { mkdir } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '@temporalio/client';
import { portFor } from './ports.js';
import { DevstackError, logToStderr, reasonOf, type Log } from './report.js';
import { spawnSupervised, type Supervised } from './supervised.js';
import { findTemporalCli } from './temporal-cli.js';

export interface TemporalServerOptions {
  /** SQLite file with all workflows; made if missing, found again by the next start. */
  readonly dbFile: string;
  /** Port of the gRPC service on 127.0.0.1; 0 or none = one that is free. */
  readonly port?: number;
  /** Port of the web UI on 127.0.0.1; 0 or none = one that is free. */
  readonly uiPort?: number;
  /** No web UI. Default false. */
  readonly headless?: boolean;
  /** Namespaces to make besides "default". */
  readonly namespaces?: readonly string[];
  /** Search attributes to register, by type: `{ LonghaulTable: 'Keyword' }`. */
  readonly searchAttributes?: Readonly<Record<string, string>>;
  /** Temporal CLI to use; found by `findTemporalCli` if none. */
  readonly cli?: string;
  readonly log?: Log;
}

/** A running Temporal dev server. It listens on 127.0.0.1 only, without a password, and ends with this process. */
export interface TemporalServer {
  /** host:port for clients and workers. */
  readonly address: string;
  /** Web UI, unless headless. */
  readonly uiUrl: string | undefined;
  readonly pid: number;
  /** Path of the CLI that runs it. */
  readonly cli: string;
  readonly stop: () => Promise<void>;
  /** Resolves when the server has ended, asked to or not. */
  readonly exited: Promise<unknown>;
}

const START_TIMEOUT = 60_000;
const STOP_GRACE = 10_000;

/** For its inner services the server takes ports that were free a moment ago: another program may have been quicker. */
const STARTS = 3;
const PORT_TAKEN = 'address already in use';

/**
 * Starts a Temporal dev server and waits until it serves the default namespace.
 * @throws DevstackError if there is no CLI, or the server can't be started: what it said, and where its log is.
 */
export async function startTemporalServer(options: TemporalServerOptions): Promise<TemporalServer> {
  const cli = options.cli ?? (await findTemporalCli({ log: options.log ?? logToStderr })).path;
  const dbFile = resolve(options.dbFile);
  await mkdir(dirname(dbFile), { recursive: true });
  for (let starts = 1; ; starts++) {
    const port = await portFor('Temporal', options.port);
    const uiPort = options.headless ? undefined : await portFor("Temporal's web UI", options.uiPort);
    const server = await spawnSupervised(cli, serverArgs(dbFile, port, uiPort, options), {
      logFile: `${dbFile}.log`,
      cwd: dirname(dbFile),
      stopSignal: 'SIGINT',
      graceMs: STOP_GRACE,
    });
    try {
      await untilServing(server, `127.0.0.1:${port}`);
      return serverOf(server, port, uiPort, cli);
    } catch (error) {
      await server.stop();
      if (starts === STARTS || !(await server.logged()).includes(PORT_TAKEN))
        throw await startError(server, dbFile, error);
    }
  }
}

function serverOf(server: Supervised, port: number, uiPort: number | undefined, cli: string): TemporalServer {
  const uiUrl = uiPort === undefined ? undefined : `http://127.0.0.1:${uiPort}`;
  const stop = async () => {
    await server.stop();
  };
  return { address: `127.0.0.1:${port}`, uiUrl, pid: server.pid, cli, exited: server.exited, stop };
}

function serverArgs(
  dbFile: string,
  port: number,
  uiPort: number | undefined,
  { namespaces = [], searchAttributes = {} }: TemporalServerOptions,
): string[] {
  return [
    ...['server', 'start-dev', '--ip', '127.0.0.1', '--port', String(port)],
    ...(uiPort === undefined ? ['--headless'] : ['--ui-port', String(uiPort)]),
    ...['--db-filename', dbFile, '--log-level', 'error'],
    ...namespaces.flatMap((name) => ['--namespace', name]),
    ...Object.entries(searchAttributes).flatMap(([name, type]) => ['--search-attribute', `${name}=${type}`]),
  ];
}

/** @throws Error if the server has ended or is not ready in time. */
async function untilServing(server: Supervised, address: string): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT;
  for (;;) {
    const trouble = await tryNamespace(address);
    if (server.exit()) throw new Error('it ended at once');
    if (trouble === undefined) return;
    if (Date.now() > deadline) throw new Error(`no answer in ${START_TIMEOUT / 1000} s: ${trouble}`);
    await sleep(100);
  }
}

async function tryNamespace(address: string): Promise<string | undefined> {
  let connection: Connection | undefined;
  try {
    connection = await Connection.connect({ address, connectTimeout: '2s' });
    await connection.workflowService.describeNamespace({ namespace: 'default' });
    return undefined;
  } catch (error) {
    return reasonOf(error);
  } finally {
    await connection?.close();
  }
}

async function startError(server: Supervised, dbFile: string, error: unknown): Promise<DevstackError> {
  const lines = (await server.logged()).trim().split('\n').slice(-5).join('\n  ');
  return new DevstackError(`Temporal did not start: ${reasonOf(error)}.\n  ${lines}\nIts log: ${dbFile}.log`);
}
