import { spawn, type ChildProcess } from 'node:child_process';
import { open, readFile, stat } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { packageFile } from '../package-file.js';
import { DevstackError, reasonOf } from './report.js';

export interface SupervisedOptions {
  /** File that gets the server's standard output and error; appended to. */
  readonly logFile: string;
  /** Working directory of the server; must be one that `uid` may enter. */
  readonly cwd: string;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  readonly env?: NodeJS.ProcessEnv;
  /** What asks the server to end in order. */
  readonly stopSignal: NodeJS.Signals;
  /** Milliseconds between that and SIGKILL. */
  readonly graceMs: number;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A server that ends when this process ends, whatever ends it. Until then it keeps this process's event loop alive. */
export interface Supervised {
  /** Process id of the server itself, not of its supervisor. */
  readonly pid: number;
  /** Resolves when the server has ended; never rejects. */
  readonly exited: Promise<Exit>;
  /** Set as soon as the server has ended. */
  readonly exit: () => Exit | undefined;
  /** What the server has logged since this start. */
  readonly logged: () => Promise<string>;
  /** Asks the server to end (by `stopSignal` unless told otherwise) and waits until it has. May be called again. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<Exit>;
}

interface Report extends Partial<Exit> {
  readonly pid?: number;
  readonly error?: string;
}

/**
 * Starts a server under bin/supervise.js, which holds a pipe to this process and ends the server when the pipe closes.
 * Both are in a session of their own: Ctrl-C in the terminal reaches this process alone, which ends its servers in order.
 * @throws DevstackError if the server can't be started at all.
 */
export async function spawnSupervised(
  command: string,
  args: readonly string[],
  options: SupervisedOptions,
): Promise<Supervised> {
  const logStart = await sizeOf(options.logFile);
  const supervisor = await spawnSupervisor(command, args, options);
  const { started, exited, exit } = watch(supervisor);
  const pid = await started.catch((error: unknown) => {
    throw new DevstackError(`Can't start ${command}: ${reasonOf(error)}`);
  });
  return {
    pid,
    exited,
    exit,
    logged: async () => (await readFile(options.logFile)).subarray(logStart).toString('utf8'),
    stop(signal) {
      supervisor.stdin?.end(signal ?? '');
      return exited;
    },
  };
}

async function spawnSupervisor(
  command: string,
  args: readonly string[],
  options: SupervisedOptions,
): Promise<ChildProcess> {
  const { cwd, uid, gid, stopSignal, graceMs } = options;
  const order = JSON.stringify({ command, args, cwd, uid, gid, stopSignal, graceMs });
  const log = await open(options.logFile, 'a', 0o600);
  try {
    const child = spawn(process.execPath, [supervisorScript(), order], {
      // Flags meant for this process (an inspector, a loader) are not meant for the supervisor.
      env: { ...(options.env ?? process.env), NODE_OPTIONS: undefined, NODE_V8_COVERAGE: undefined },
      detached: true,
      stdio: ['pipe', log.fd, log.fd, 'pipe'],
    });
    // Writing to a supervisor that has just ended is no error: `exited` tells the story.
    child.stdin?.on('error', () => undefined);
    return child;
  } finally {
    await log.close();
  }
}

/** Turns the supervisor's reports into promises. Once `started` has resolved, `exited` is sure to settle. */
function watch(supervisor: ChildProcess): {
  started: Promise<number>;
  exited: Promise<Exit>;
  exit: () => Exit | undefined;
} {
  const started = deferred<number>();
  const exited = deferred<Exit>();
  let pid: number | undefined;
  let exit: Exit | undefined;
  createInterface({ input: supervisor.stdio[3] as Readable }).on('line', (line) => {
    const report = JSON.parse(line) as Report;
    if (report.error !== undefined) started.reject(new Error(report.error));
    else if (report.pid !== undefined) started.resolve((pid = report.pid));
    else exited.resolve((exit = { code: report.code ?? null, signal: report.signal ?? null }));
  });
  supervisor.on('error', started.reject);
  supervisor.on('close', () => {
    started.reject(new Error('its supervisor ended before it said anything.'));
    if (pid === undefined || exit !== undefined) return;
    kill(pid); // The supervisor itself was killed: its work falls to us.
    exited.resolve((exit = { code: null, signal: 'SIGKILL' }));
  });
  return { started: started.promise, exited: exited.promise, exit: () => exit };
}

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void; reject: (reason: Error) => void } {
  let resolve: (value: T) => void = () => undefined;
  let reject: (reason: Error) => void = () => undefined;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It had ended already.
  }
}

async function sizeOf(file: string): Promise<number> {
  return stat(file).then(
    ({ size }) => size,
    () => 0,
  );
}

function supervisorScript(): string {
  const script = packageFile('bin', 'supervise.js');
  if (script === undefined) throw new DevstackError('bin/supervise.js is missing: reinstall longhaul.');
  return script;
}
