import type { BigIntStats, Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ignoring } from './local-errors.js';
import { byBytes, isOwn } from './paths.js';
import type { ObjectInfo } from './store.js';

const PAGE = 1000;

/** What of a folder's tree is wanted: paths that begin with `prefix` and come after `after`. */
interface Wanted {
  readonly prefix: string;
  readonly after: string;
  readonly signal: AbortSignal;
}

/** Pages of a tree's files; one folder's names are in memory for each level of it. */
export async function* listTree(root: string, wanted: Wanted): AsyncIterable<readonly ObjectInfo[]> {
  let page: ObjectInfo[] = [];
  const top = wanted.prefix.slice(0, wanted.prefix.lastIndexOf('/') + 1);
  for await (const path of walk(root, top, wanted)) {
    const info = await infoOf(root, path);
    if (info !== undefined) page.push(info);
    if (page.length < PAGE) continue;
    yield page;
    page = [];
  }
  if (page.length > 0) yield page;
}

/** Paths of files, in the order of their bytes. `folder` is empty or ends with a slash. */
async function* walk(root: string, folder: string, wanted: Wanted): AsyncIterable<string> {
  wanted.signal.throwIfAborted();
  for (const path of await pathsIn(root, folder)) {
    if (!mayHold(path, wanted)) continue;
    if (path.endsWith('/')) yield* walk(root, path, wanted);
    else yield path;
  }
}

/** Of files and, with a slash behind, of folders: `a-b` comes before `a/c`. */
async function pathsIn(root: string, folder: string): Promise<string[]> {
  const entries = await readdir(join(root, folder), { withFileTypes: true }).catch(ignoring('ENOENT', 'ENOTDIR'));
  const paths = await Promise.all((entries ?? []).map(async (entry) => [await pathOf(root, folder, entry)].flat()));
  return paths.flat().sort(byBytes);
}

async function pathOf(root: string, folder: string, entry: Dirent): Promise<string | []> {
  const path = folder + entry.name;
  const info = entry.isSymbolicLink() ? await stat(join(root, path)).catch(ignoring('ENOENT')) : entry;
  if (info === undefined || isOwn(path)) return [];
  return info.isDirectory() ? `${path}/` : info.isFile() ? path : [];
}

function mayHold(path: string, { prefix, after }: Wanted): boolean {
  const folder = path.endsWith('/');
  if (!path.startsWith(prefix) && !(folder && prefix.startsWith(path))) return false;
  return byBytes(path, after) > 0 || (folder && after.startsWith(path));
}

/** Undefined where there is none, or a folder. */
export async function infoOf(root: string, path: string): Promise<ObjectInfo | undefined> {
  const info = await stat(join(root, path), { bigint: true }).catch(ignoring('ENOENT', 'ENOTDIR'));
  if (info === undefined || !info.isFile()) return undefined;
  return { path, size: Number(info.size), tag: tagOf(info), modifiedAt: info.mtime };
}

/** Another for each content that `replace` gives a path: it lets no two have the same time. */
function tagOf({ ino, mtimeNs, size }: BigIntStats): string {
  return `${mtimeNs.toString(36)}-${ino.toString(36)}-${size.toString(36)}`;
}
