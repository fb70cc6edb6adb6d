import { createHash, randomUUID } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { link, readFile, rename } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LonghaulError } from '../../core/errors.js';
import { processFacts } from '../command/processes.js';
import { codeOf, ignoring } from './local-errors.js';
import { removeFile, tempFolder, writeTemp } from './local-files.js';
import { shownPath } from './paths.js';

/** Who holds a lock: enough to tell that it has ended, on the same machine. */
interface Holder {
  /** One for each time that the lock is held. */
  readonly token: string;
  readonly pid: number;
  /** See `ProcessFacts.started`; empty where the system doesn't tell. */
  readonly started: string;
  /** Machine and its start: numbers of processes mean nothing elsewhere. */
  readonly host: string;
  readonly boot: string;
  /** The container, as it were: there are processes of equal numbers in others. */
  readonly namespace: string;
}

export interface LockOptions {
  readonly root: string;
  /** The connection's. */
  readonly name: string;
  readonly signal: AbortSignal;
  /** Milliseconds to wait for a holder that lives. */
  readonly patience: number;
}

/**
 * Runs `action` while no other process does for this path. A holder that has ended is succeeded; one that lives, frozen or not, is
 * waited for: it may go on at any moment. Throws LockTimeout, which names it.
 */
export async function withPathLock<T>(path: string, options: LockOptions, action: () => Promise<T>): Promise<T> {
  const lock = lockFile(options.root, path);
  await acquire(lock, path, options, Date.now() + options.patience);
  try {
    return await action();
  } finally {
    await removeFile(lock);
  }
}

/**
 * A lock is a file with its holder in it, linked into place as a whole. Only two may remove or replace it: its holder, and the one who
 * found that holder ended and holds the lock to succeed it, whose name is made of the holder's token. So nobody takes a living one's.
 */
async function acquire(lock: string, path: string, options: LockOptions, deadline: number): Promise<void> {
  const mine = await writeTemp(options.root, Buffer.from(JSON.stringify(myself())));
  try {
    while (!(await linkOnce(mine, lock))) {
      options.signal.throwIfAborted();
      const holder = await readHolder(lock);
      if (holder === undefined) continue;
      if (hasEnded(holder)) {
        if (await succeed(holder, lock, mine, path, options, deadline)) return;
      } else if (Date.now() >= deadline) throw lockTimeout(holder, lock, path, options);
      else await sleep(5 + Math.random() * 20);
    }
  } finally {
    await removeFile(mine);
  }
}

/** Whether this process became the holder in the place of one that has ended. */
async function succeed(
  ended: Holder,
  lock: string,
  mine: string,
  path: string,
  options: LockOptions,
  deadline: number,
): Promise<boolean> {
  const right = lockFile(options.root, `${lock} ${ended.token}`);
  await acquire(right, path, options, deadline);
  try {
    if ((await readHolder(lock))?.token !== ended.token) return false;
    await rename(mine, lock);
    return true;
  } finally {
    await removeFile(right);
  }
}

async function linkOnce(from: string, to: string): Promise<boolean> {
  return link(from, to).then(
    () => true,
    (error: unknown) => {
      if (codeOf(error) === 'EEXIST') return false;
      throw error;
    },
  );
}

async function readHolder(lock: string): Promise<Holder | undefined> {
  const text = await readFile(lock, 'utf8').catch(ignoring('ENOENT'));
  return text === undefined ? undefined : (JSON.parse(text) as Holder);
}

function lockFile(root: string, path: string): string {
  return join(tempFolder(root), `lock-${createHash('sha256').update(path).digest('hex').slice(0, 32)}`);
}

function myself(): Holder {
  const started = processFacts(process.pid)?.started ?? '';
  return { token: randomUUID(), pid: process.pid, started, ...place() };
}

function place(): Pick<Holder, 'host' | 'boot' | 'namespace'> {
  return {
    host: hostname(),
    boot: told(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()),
    namespace: told(() => readlinkSync('/proc/self/ns/pid')),
  };
}

/** Empty on systems that have no such thing. */
function told(read: () => string): string {
  try {
    return read();
  } catch {
    return '';
  }
}

/** False where it can't be told: of another machine, or of another container on this one. */
function hasEnded(holder: Holder): boolean {
  const here = place();
  if (holder.host !== here.host) return false;
  if (holder.boot !== here.boot) return true;
  if (holder.namespace !== here.namespace) return false;
  if (holder.started === '') return !isRunning(holder.pid);
  const facts = processFacts(holder.pid);
  return facts === undefined || facts.started !== holder.started || facts.state === 'Z' || facts.state === 'X';
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) !== 'ESRCH';
  }
}

function lockTimeout({ pid, host }: Holder, lock: string, path: string, { name }: LockOptions): LonghaulError {
  return new LonghaulError(
    'LockTimeout',
    `Connection ${name}: process ${pid} on ${host} is just replacing ${shownPath(path)} and does not end; it is as it was.`,
    { next: `Look at that process (it may be stopped) and end it. If there is none, remove ${lock}.` },
  );
}
