import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { LonghaulError } from '../../core/errors.js';
import type { AttemptFolder } from './attempt-folder.js';
import type { Chatter } from './chatter.js';
import type { CommandConnectionConfig } from './config.js';
import { notStarted, programFailed, type Exit, type Subject } from './errors.js';
import { Fifo, makeFifos } from './fifo.js';
import { whyNotStarted } from './find-program.js';
import { ProcessGroup } from './group.js';
import { processFacts } from './processes.js';
import { environmentFor, type Request } from './request.js';

/** Milliseconds that last words may take once their writers are gone; somebody outside the group may hold their pipe. */
const LAST_WORDS_MS = 1_000;

/** Milliseconds that the pipe stays open after the program's exit when not all of its group have ended. */
const OPENING_MS = 1_000;

export interface Start {
  readonly config: CommandConnectionConfig;
  readonly subject: Subject;
  readonly folder: AttemptFolder;
  readonly request: Request;
  readonly chatter: Chatter;
  readonly signal: AbortSignal;
}

/** How a group is told from a later one of the same number. */
export interface GroupName {
  readonly id: number;
  readonly started?: string;
}

interface Pipes {
  readonly rows: Fifo | undefined;
  readonly stdout: Fifo | undefined;
  readonly stderr: Fifo;
}

/** One process of one attempt, with its pipes and with all that it starts. It is asked to end as soon as the attempt is aborted. */
export class Program {
  /** Rejects never. Of the program itself: others of its group may be left. */
  readonly exited: Promise<Exit>;
  #ending: Promise<void> | undefined;
  readonly #group: ProcessGroup;
  /** Whoever disposes of it hears of what goes wrong. */
  readonly #endNow = (): void => void this.end().catch(() => undefined);

  private constructor(
    private readonly start: Start,
    child: ChildProcess,
    private readonly pipes: Pipes,
  ) {
    this.#group = new ProcessGroup(child.pid!);
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#group.programEnded();
        // What is left of the group has nothing more to give.
        if (code !== 0) this.#endNow();
        void this.#closeWriters();
        resolve({ code, signal });
      });
    });
    const { chatter, signal } = start;
    chatter.listen('stderr', pipes.stderr.reader);
    if (pipes.stdout !== undefined) chatter.listen('stdout', pipes.stdout.reader);
    signal.addEventListener('abort', this.#endNow, { once: true });
    if (signal.aborted) this.#endNow();
  }

  /** The request lies in the folder. Throws ConnectionFailed when it can't be started. `onGroup` is called before anything else can happen. */
  static async start(start: Start, onGroup: (group: GroupName) => void): Promise<Program> {
    const pipes = await openPipes(start);
    try {
      const child = await spawnProgram(start, pipes, onGroup);
      return new Program(start, child, pipes);
    } catch (error) {
      for (const fifo of fifosOf(pipes)) fifo.close();
      throw error;
    }
  }

  /** Where rows are read with `pipe` and `stdout`. */
  get rows(): Fifo {
    if (this.pipes.rows === undefined) throw new Error('the rows come in files');
    return this.pipes.rows;
  }

  /** Resolves when it has exited with code 0; throws SourceFailed, SourceRefused, or the abort's reason. */
  async succeeded(): Promise<void> {
    const exit = await this.exited;
    const { signal, subject, chatter } = this.start;
    signal.throwIfAborted();
    if (exit.code === 0) return;
    await this.end();
    signal.throwIfAborted();
    throw programFailed(subject, exit, chatter.lastWords());
  }

  /** Ends the program and whatever is left of its group, politely first, and waits until all are gone. May be called again. */
  end(): Promise<void> {
    return (this.#ending ??= this.#end());
  }

  /** A process that the program left behind may be about to open the pipe. */
  async #closeWriters(): Promise<void> {
    await this.#group.goneWithin(OPENING_MS);
    for (const fifo of fifosOf(this.pipes)) fifo.closeWriter();
  }

  async #end(): Promise<void> {
    const { config, chatter, signal } = this.start;
    const gone = this.#group.end(config.stopGrace);
    if (signal.aborted) this.pipes.rows?.close(reasonOf(signal));
    await gone;
    await this.exited;
    signal.removeEventListener('abort', this.#endNow);
    await Promise.race([chatter.ended(), sleep(LAST_WORDS_MS)]);
    for (const fifo of fifosOf(this.pipes)) fifo.close();
    await chatter.ended();
  }
}

function fifosOf({ rows, stdout, stderr }: Pipes): Fifo[] {
  return [rows, stdout, stderr].filter((fifo) => fifo !== undefined);
}

function reasonOf({ reason }: AbortSignal): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}

async function openPipes({ config: { name, output }, folder }: Start): Promise<Pipes> {
  const paths = [...(output === 'files' ? [] : [folder.rows]), ...(output === 'stdout' ? [] : [folder.stdout])];
  await makeFifos([...paths, folder.stderr]).catch((error: unknown) => {
    throw notStarted(name, `no named pipe can be made for it (${codeOf(error)})`);
  });
  const opened: Fifo[] = [];
  const open = (path: string): Fifo => {
    const fifo = new Fifo(path);
    opened.push(fifo);
    return fifo;
  };
  try {
    return {
      rows: output === 'files' ? undefined : open(folder.rows),
      stdout: output === 'stdout' ? undefined : open(folder.stdout),
      stderr: open(folder.stderr),
    };
  } catch (error) {
    for (const fifo of opened) fifo.close();
    throw notStarted(name, `its named pipes can not be opened (${codeOf(error)})`);
  }
}

async function spawnProgram(start: Start, pipes: Pipes, onGroup: (group: GroupName) => void): Promise<ChildProcess> {
  const { config, folder, request } = start;
  const [program, ...args] = config.run;
  // A file, and not a pipe: a program that doesn't read it breaks nothing.
  const stdin = openSync(folder.request, 'r');
  const stdout = (pipes.stdout ?? pipes.rows)!.writer;
  try {
    const child = spawn(program, args, {
      cwd: config.cwd,
      env: environmentFor(config.env, request),
      detached: true,
      stdio: [stdin, stdout, pipes.stderr.writer],
    });
    if (child.pid === undefined) throw (await once(child, 'error'))[0];
    // Nothing has waited for it yet, so its number is its own.
    const started = processFacts(child.pid)?.started;
    onGroup({ id: child.pid, ...(started !== undefined && { started }) });
    return child;
  } catch (error) {
    throw error instanceof LonghaulError ? error : notStarted(config.name, whyOf(config, error));
  } finally {
    closeSync(stdin);
  }
}

function whyOf(config: CommandConnectionConfig, error: unknown): string {
  const code = codeOf(error);
  const [program] = config.run;
  if (code === 'E2BIG') return 'its arguments and its environment are longer than the system takes';
  if (code === 'ENOENT') {
    return whyNotStarted(config) ?? `"${program}" is a script whose first line names a program that is not there`;
  }
  return whyNotStarted(config) ?? `"${program}" (${code})`;
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (typeof code === 'string' || typeof code === 'number') return String(code);
  return error instanceof Error ? error.message : String(error);
}
