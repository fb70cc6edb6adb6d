import { randomBytes } from 'node:crypto';
import { closeSync, constants, openSync, readFileSync } from 'node:fs';
import { lstat, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { shortHash } from '../hash.js';
import type { Log } from '../types.js';
import { makeFifos } from './fifo.js';
import { entrust } from './reaper.js';
import { removeAttempt } from './remove.js';

/** Where a worker's attempts have their folders: `run/table/query/attempt-…`. */
export interface TmpRoot {
  readonly path: string;
  /** Part of the name of every attempt's folder: whose it is. */
  readonly owner: string;
}

/**
 * Below it each worker has a named pipe, called as the worker, that it reads as long as it lives: the kernel itself tells whether it
 * does, for every container of the machine, and no process id has to be trusted.
 */
const WORKERS = '.workers';

/** One for each folder that this process has used, for as long as the process lives. */
const roots = new Map<string, Promise<TmpRoot>>();

export function defaultTmpDir(): string {
  return join(tmpdir(), `longhaul-${process.getuid?.() ?? 'user'}`);
}

/** Makes the folder, takes a place in it, and removes what workers have left there that were killed together with their machine. */
export async function tmpRoot(dir: string | undefined, log: Log): Promise<TmpRoot> {
  const path = dir ?? defaultTmpDir();
  let root = roots.get(path);
  if (root === undefined) {
    root = moveIn(path, dir === undefined, log);
    roots.set(path, root);
  }
  try {
    return await root;
  } catch (error) {
    roots.delete(path);
    throw error;
  }
}

async function moveIn(path: string, shared: boolean, log: Log): Promise<TmpRoot> {
  await makeTmpDir(path, shared);
  const owner = await takePlace(path);
  await sweep(path, owner, log);
  return { path, owner };
}

/** `ours`: it lies where anybody may make a folder of that name, so one that somebody else made is refused. */
export async function makeTmpDir(path: string, ours: boolean): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  if (!ours) return;
  const found = await lstat(path);
  const uid = process.getuid?.();
  const own = found.isDirectory() && (uid === undefined || (found.uid === uid && (found.mode & 0o077) === 0));
  if (!own) throw new Error('it is not a folder of this user alone');
}

/** The pipe gets its name once it is read, so that nobody takes it for one that was left. */
async function takePlace(path: string): Promise<string> {
  const workers = join(path, WORKERS);
  await mkdir(workers, { recursive: true, mode: 0o700 });
  const owner = `${machine().boot}-${machine().host}-${randomBytes(4).toString('hex')}`;
  const [made, named] = [join(workers, `new-${owner}`), join(workers, owner)];
  await makeFifos([made]);
  openSync(made, constants.O_RDONLY | constants.O_NONBLOCK); // Closed by the end of this process, and by nothing else.
  entrust({ path: named, parents: 0, graceMs: 0 });
  await rename(made, named);
  return owner;
}

/** Digests of 8 characters. Containers of one machine have its boot in common, and a machine that started anew its host's name. */
function machine(): { readonly boot: string; readonly host: string } {
  return { boot: shortHash(bootId()).slice(0, 8), host: shortHash(hostname()).slice(0, 8) };
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return 'unknown';
  }
}

/** A worker's pipe goes last: as long as it is there, what else the worker has left is found. */
async function sweep(path: string, self: string, log: Log): Promise<void> {
  const workers = join(path, WORKERS);
  const dead = (await readdir(workers)).filter(
    (name) => name !== self && isOfHere(name) && !isRead(join(workers, name)),
  );
  if (dead.length === 0) return;
  const left = (await attemptsIn(path)).filter((folder) => dead.some((owner) => folder.includes(`-${owner}-`)));
  for (const folder of left) await removeSwept(folder);
  for (const name of dead) await rm(join(workers, name), { force: true });
  log.info({ folder: path, removed: left.length }, 'Removed the folders of workers that are gone');
}

/** Of other machines that share the folder nothing can be told. */
function isOfHere(owner: string): boolean {
  const [boot, host] = owner.split('-');
  return boot === machine().boot || host === machine().host;
}

function isRead(fifo: string): boolean {
  try {
    closeSync(openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK));
    return true;
  } catch (error) {
    return !['ENXIO', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '');
  }
}

async function attemptsIn(path: string): Promise<string[]> {
  let folders = [path];
  for (let depth = 0; depth < 4; depth++) folders = (await Promise.all(folders.map(foldersIn))).flat();
  return folders;
}

async function foldersIn(path: string): Promise<string[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(path, name));
  } catch (error) {
    // Another worker sweeps, or an attempt has ended.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Renamed first: whoever should be reading there after all finds nothing, and not only some of its files. */
async function removeSwept(folder: string): Promise<void> {
  const swept = `${folder}.swept`;
  await rename(folder, swept).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  });
  await removeAttempt(swept);
}
