import { spawn, type ChildProcess } from 'node:child_process';
import { Socket } from 'node:net';
import { packageFile } from '../../package-file.js';

/** What has to go when this process can't see to it any more. */
export interface Charge {
  /** An absolute path, of a file or a folder. */
  readonly path: string;
  /** So many folders above it go too, if they are empty. */
  readonly parents: number;
  readonly group?: {
    readonly id: number;
    /** See `ProcessFacts.started`. */
    readonly started?: string;
  };
  readonly graceMs: number;
}

/** One charge: `update` it as things change, `release` it when this process has seen to it. */
export interface Ward {
  update(charge: Charge): void;
  release(): void;
}

/** Milliseconds that a reaper must have lived to be started anew: one that can't live would be started for ever. */
const LEAST_LIFE = 1_000;

/**
 * bin/reap.js, one process for all programs of this one, started with the first. The pipe to it is its lifeline: it acts when this
 * process is gone. Neither keeps the event loop alive. If it is killed another takes over.
 */
class Reaper {
  #process: ChildProcess | undefined;
  #startedAt = 0;
  #ids = 0;
  readonly #charges = new Map<number, Charge>();

  /** A charge is noted before this returns: written to the pipe, which outlives this process. */
  take(charge: Charge): Ward {
    const id = ++this.#ids;
    const update = (now: Charge): void => {
      this.#charges.set(id, now);
      this.#tell({ id, ...now });
    };
    update(charge);
    return {
      update,
      release: () => {
        this.#charges.delete(id);
        this.#tell({ id });
      },
    };
  }

  #tell(line: { readonly id: number } & Partial<Charge>): void {
    if (this.#process === undefined) this.#start();
    else this.#write(line);
  }

  #write(line: object): void {
    this.#process?.stdin?.write(`${JSON.stringify(line)}\n`);
  }

  #start(): void {
    const script = packageFile('bin', 'reap.js');
    if (script === undefined) throw new Error('bin/reap.js is missing: reinstall longhaul.');
    // In a session of its own, which no signal of the worker's terminal reaches.
    const child = spawn(process.execPath, [script], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
      env: {},
      cwd: '/',
    });
    this.#process = child;
    this.#startedAt = Date.now();
    child.unref();
    if (child.stdin instanceof Socket) child.stdin.unref();
    // `close` tells the story.
    child.on('error', () => undefined);
    child.stdin.on('error', () => undefined);
    child.on('close', () => this.#ended());
    for (const [id, charge] of this.#charges) this.#write({ id, ...charge });
  }

  #ended(): void {
    this.#process = undefined;
    if (this.#charges.size > 0 && Date.now() - this.#startedAt > LEAST_LIFE) this.#start();
  }
}

const reaper = new Reaper();

/** Has the charge seen to when this process ends without having released it, however it ends. */
export function entrust(charge: Charge): Ward {
  return reaper.take(charge);
}
