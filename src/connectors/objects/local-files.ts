import { randomUUID } from 'node:crypto';
import { link, mkdir, open, readdir, rmdir, stat, unlink, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf, ignoring } from './local-errors.js';
import { TEMP_FOLDER } from './paths.js';

/** Files and folders of a local store: what is written is durable before it is visible, and visible only as a whole. */

/** Folders may be removed, when they are empty, by whoever deletes at the same time: so often a file is linked anew. */
const LINK_TRIES = 20;

export function tempFolder(root: string): string {
  return join(root, ...TEMP_FOLDER.split('/'));
}

/** A new file among the temporary ones of a store. */
export async function openTemp(root: string): Promise<{ file: FileHandle; path: string }> {
  const path = join(tempFolder(root), randomUUID());
  try {
    return { file: await open(path, 'wx'), path };
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
    await makeFolder(tempFolder(root));
    return { file: await open(path, 'wx'), path };
  }
}

/** A temporary file with these bytes, durable. */
export async function writeTemp(root: string, bytes: Uint8Array): Promise<string> {
  const { file, path } = await openTemp(root);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  return path;
}

/** Gives a file a second name, durably; false when that name is taken. The folders are made. */
export async function linkDurably(root: string, temp: string, target: string): Promise<boolean> {
  const created = await linkOrFind(temp, target, LINK_TRIES);
  await syncFolders(root, dirname(target));
  return created;
}

async function linkOrFind(temp: string, target: string, tries: number): Promise<boolean> {
  try {
    // Here too: of the folders that it finds, or makes, one may be removed before the next is made.
    await makeFolder(dirname(target));
    await link(temp, target);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    if (codeOf(error) !== 'ENOENT' || tries === 1 || !(await exists(temp))) throw error;
    return linkOrFind(temp, target, tries - 1);
  }
}

/**
 * Not by Node's `recursive`, which tries for good where no folder can be made and the answer is ENOENT (an autofs, /proc). The names of folders that
 * were made on the way are durable, also those above a store's root.
 */
async function makeFolder(folder: string): Promise<void> {
  const made = await mkdir(folder).then(() => true, ignoring('EEXIST', 'ENOENT'));
  if (made === true || dirname(folder) === folder || (await exists(folder))) return;
  await makeFolder(dirname(folder));
  await mkdir(folder).catch(ignoring('EEXIST'));
  await syncFolder(dirname(dirname(folder))).catch(ignoring('EACCES', 'EPERM', 'ENOENT'));
}

/**
 * Makes the names in a folder durable, and the folder's own: up to the root and one beyond, since any of them may be new, made by this
 * process or another. Those in which nothing is new cost next to nothing. One that is gone was emptied by another.
 */
export async function syncFolders(root: string, folder: string): Promise<void> {
  let each = folder;
  for (; each.length > root.length; each = dirname(each)) await syncFolder(each).catch(ignoring('ENOENT'));
  await syncFolder(root);
  await syncFolder(dirname(root)).catch(ignoring('EACCES', 'EPERM'));
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Removes a file if it is there. */
export async function removeFile(path: string): Promise<void> {
  await unlink(path).catch(ignoring('ENOENT', 'ENOTDIR'));
}

/** Removes a folder, and those above it, as long as they are empty, and makes the removal durable. The root stays. */
export async function pruneFolders(root: string, folder: string): Promise<void> {
  let each = folder;
  while (each.length > root.length && (await removeFolder(each))) each = dirname(each);
  await syncFolder(each).catch(ignoring('ENOENT', 'ENOTDIR'));
}

async function removeFolder(folder: string): Promise<boolean> {
  return rmdir(folder).then(
    () => true,
    (error: unknown) => {
      if (codeOf(error) === 'ENOENT') return true;
      if (['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(codeOf(error) ?? '')) return false;
      throw error;
    },
  );
}

/** Removes temporary files that were last written before this time; locks have rules of their own. */
export async function sweepTemp(root: string, before: Date): Promise<number> {
  const folder = tempFolder(root);
  const names = await readdir(folder).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  });
  let swept = 0;
  for (const path of names.filter((name) => !name.startsWith('lock-')).map((name) => join(folder, name))) {
    const info = await stat(path).catch(ignoring('ENOENT'));
    if (info === undefined || info.mtime >= before) continue;
    await removeFile(path);
    swept++;
  }
  return swept;
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(ignoring('ENOENT'))) !== undefined;
}
