import { LonghaulError } from '../../core/errors.js';
import { counted } from '../../core/text.js';
import type { ObjectStore } from '../objects/store.js';
import { mapOrdered } from './in-order.js';
import type { DataFile } from './model.js';

/**
 * The same files, each looked at: a receipt promises its files, and one that is gone or cut short is found before anybody is pointed to
 * it. `table`: theirs, as a person calls it. Throws TargetChanged.
 */
export function verifiedFiles(
  store: ObjectStore,
  files: AsyncIterable<DataFile>,
  table: string,
): AsyncGenerator<DataFile> {
  return mapOrdered(files, async (file) => {
    const found = await store.head(file.path);
    if (found?.size === file.size) return file;
    throw notAsWritten(table, file, found?.size);
  });
}

function notAsWritten(table: string, { path, size }: DataFile, found: number | undefined): LonghaulError {
  const what =
    found === undefined ? 'is not there' : `has ${counted(found, 'byte')} instead of ${counted(size, 'byte')}`;
  return new LonghaulError('TargetChanged', `A data file of ${table} ${what} (${path}); nothing was published.`, {
    next: 'See who removes or writes files below _longhaul/ of the table, then start the job anew.',
  });
}
