import { createReadStream, type Dirent } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { LonghaulError } from '../../core/errors.js';
import { filesUnreadable, strangeFile, type Subject } from './errors.js';

/** Bytes read at a time. */
const CHUNK = 256 * 1024;

export interface LeftFile {
  readonly path: string;
  /** Below the folder. */
  readonly name: string;
}

/** Files of a folder and of those in it, in the order of their names. Names that begin with `_` or `.` are the program's own notes. */
export async function* filesIn(folder: string, subject: Subject, below = ''): AsyncGenerator<LeftFile> {
  const entries = await readable(subject, () => readdir(folder, { withFileTypes: true }));
  for (const entry of entries.filter(({ name }) => !/^[_.]/.test(name)).sort(byName)) {
    const [path, name] = [join(folder, entry.name), `${below}${entry.name}`];
    if (entry.isDirectory()) yield* filesIn(path, subject, `${name}/`);
    else if (entry.isFile()) yield { path, name };
    else throw strangeFile(subject, 'something among its files that is neither a file nor a folder');
  }
}

/** By code units, the same on every machine. */
function byName(a: Dirent, b: Dirent): number {
  return a.name < b.name ? -1 : 1;
}

export async function* chunksOf(path: string, subject: Subject): AsyncGenerator<Uint8Array> {
  const stream = createReadStream(path, { highWaterMark: CHUNK });
  try {
    for await (const chunk of stream) yield chunk as Uint8Array;
  } catch (error) {
    throw asUnreadable(subject, error);
  } finally {
    stream.destroy();
  }
}

async function readable<T>(subject: Subject, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw asUnreadable(subject, error);
  }
}

function asUnreadable(subject: Subject, error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
  return error instanceof LonghaulError || code === undefined ? error : filesUnreadable(subject, code);
}

/** Bytes of all files of a folder, whatever their names; what comes and goes meanwhile counts as it is met. */
export async function bytesIn(folder: string): Promise<number> {
  let bytes = 0;
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) bytes += await bytesIn(path);
    else bytes += (await lstat(path).catch(() => undefined))?.size ?? 0;
  }
  return bytes;
}
