import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import type { Environment, WorkerConfig } from '../config/index.js';
import { spawnSupervised, type Exit, type Supervised } from '../devstack/supervised.js';
import { startTemporalServer, type TemporalServer } from '../devstack/temporal-server.js';
import type { Context } from './context.js';
import { CliError } from './errors.js';
import { sinceLastPoll } from './follow/workers.js';

export interface DevOptions {
  readonly port: number;
  readonly uiPort: number;
}

/** Beside longhaul.yaml: the dev server's database and the logs. May be deleted while nothing runs; jobs are then forgotten. */
const FOLDER = '.longhaul';

/** Milliseconds a worker may take to start; compiling the workflows is the most of it. */
const WORKER_START = 60_000;

/** Milliseconds between the end of a killed worker and the start of the next. */
const RESTART_PAUSE = 1_000;

/** A Temporal dev server and a worker, each a process of its own that ends with this one. */
export class DevStack {
  readonly #folder: string;
  #server: TemporalServer | undefined;
  #worker: Supervised | undefined;
  #stopping = false;
  #fail: (error: CliError) => void = () => undefined;
  /** Rejects when the stack can't go on. */
  readonly failed = new Promise<never>((_, reject) => (this.#fail = reject));

  constructor(
    private readonly config: WorkerConfig,
    private readonly context: Context,
    private readonly options: DevOptions,
  ) {
    this.#folder = join(dirname(config.file), FOLDER);
    // Whoever awaits it hears of it; nobody else has to.
    this.failed.catch(() => undefined);
  }

  get address(): string {
    return this.#server!.address;
  }

  get uiUrl(): string {
    return this.#server!.uiUrl!;
  }

  get databaseFile(): string {
    return join(this.#folder, 'temporal.db');
  }

  get workerLog(): string {
    return join(this.#folder, 'worker.log');
  }

  /** A temporal.toml that says nothing, for the worker to read instead of the user's own. */
  get #profile(): string {
    return join(this.#folder, 'temporal.toml');
  }

  /** Resolves when the worker takes work. */
  async start(): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    await writeFile(this.#profile, '[profile.default]\n');
    const { port, uiPort } = this.options;
    const log = (line: string) => this.context.screen.err.line(line);
    log('Starting Temporal and a worker …');
    this.#server = await startTemporalServer({ dbFile: this.databaseFile, port, uiPort, log });
    void this.#server.exited.then(() =>
      this.#broken(`Temporal has ended by itself. Its log: ${this.databaseFile}.log`),
    );
    await this.#startWorker();
    await Promise.race([this.#untilPolling(), this.failed]);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#worker?.stop();
    await this.#server?.stop();
  }

  #broken(message: string): void {
    if (!this.#stopping) this.#fail(new CliError(message));
  }

  async #startWorker(): Promise<void> {
    const args = [process.argv[1]!, 'worker', '--config', this.config.file];
    const worker = await spawnSupervised(process.execPath, args, {
      logFile: this.workerLog,
      cwd: dirname(this.config.file),
      env: onlyThisTemporal(this.context.env, this.address, this.#profile),
      stopSignal: 'SIGTERM',
      graceMs: this.config.worker.shutdownGrace + 5_000,
    });
    this.#worker = worker;
    void worker.exited.then((exit) => this.#workerEnded(worker, exit));
  }

  /** A killed worker is replaced, as a production supervisor would; one that gives up by itself has a reason. */
  async #workerEnded(worker: Supervised, { signal, code }: Exit): Promise<void> {
    if (this.#stopping) return;
    if (signal === null) {
      const said = (await worker.logged()).trim().split('\n').slice(-8).join('\n  ');
      this.#broken(`The worker has ended (exit code ${code ?? 'unknown'}):\n  ${said}\nIts log: ${this.workerLog}`);
      return;
    }
    this.context.screen.err.line(`The worker was killed (${signal}); another is started.`);
    await sleep(RESTART_PAUSE);
    await this.#replaceWorker().catch((error: unknown) => this.#broken(String(error)));
  }

  async #replaceWorker(): Promise<void> {
    if (!this.#stopping) await this.#startWorker();
  }

  async #untilPolling(): Promise<void> {
    const connection = await Connection.connect({ address: this.address });
    try {
      const client = new Client({ connection });
      const deadline = Date.now() + WORKER_START;
      while ((await sinceLastPoll(client, this.config.worker.taskQueue)) === undefined) {
        if (Date.now() > deadline) throw new CliError(`The worker does not start. Its log: ${this.workerLog}`);
        await sleep(200);
      }
    } finally {
      await connection.close();
    }
  }
}

/** The user's environment, but with no other Temporal in it than this one: no address, profile, key or TLS of another. */
function onlyThisTemporal(env: Environment, address: string, profile: string): NodeJS.ProcessEnv {
  const others = Object.keys(env).filter((name) => name.startsWith('TEMPORAL_'));
  return {
    ...env,
    // Empty rather than absent: .env can't bring them back.
    ...Object.fromEntries(others.map((name) => [name, ''])),
    TEMPORAL_CONFIG_FILE: profile,
    TEMPORAL_ADDRESS: address,
    TEMPORAL_NAMESPACE: 'default',
  };
}
