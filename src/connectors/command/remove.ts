import { rm, rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Folders between the root and an attempt's: its run's, its table's and its query's. */
export const PARENTS = 3;

/** Removes an attempt's folder, and those above it in which it was alone. */
export async function removeAttempt(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  let above = path;
  for (let left = PARENTS; left > 0; left--) {
    above = dirname(above);
    if (!(await removedEmpty(above))) return;
  }
}

async function removedEmpty(folder: string): Promise<boolean> {
  try {
    await rmdir(folder);
    return true;
  } catch (error) {
    if (['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}
