import { randomUUID } from 'node:crypto';
import { LonghaulError } from '../../core/errors.js';
import { literal, quoted, tableSql } from './names.js';
import { countRows, MOST_FILES, type FileList, type Staging } from './staging.js';
import type { VolumeStore } from './volume-store.js';

/**
 * An append is one statement, and one statement of COPY INTO names a thousand files of one folder. Where there are more, the warehouse
 * writes what is staged to fewer files, and which ones they are is put beside them if absent: every attempt has to append the same.
 */

/** Without an underscore at its beginning: readers of files pass over such names. */
const FOLDER = 'longhaul-appends';
/** Of staged bytes a file. */
const FILE_SIZE = 256 * 2 ** 20;

export interface Append extends Staging {
  readonly store: VolumeStore;
}

/** The one list of which a table is appended. `lists`: those of its files, the first two at least. Undefined: there are none. */
export async function oneList(append: Append, lists: readonly FileList[], size: number): Promise<FileList | undefined> {
  if (lists.length < 2) return lists[0];
  return (await recordedList(append)) ?? (await record(append, await exported(append, size)));
}

export async function recordedList({
  store,
  staging,
}: Pick<Append, 'store' | 'staging'>): Promise<FileList | undefined> {
  const bytes = await store.get(recordPath(staging.table));
  return bytes === undefined ? undefined : (JSON.parse(Buffer.from(bytes).toString()) as FileList);
}

/** Removes what an append has written beside the data files. Idempotent. */
export async function removeAppend({ store, staging }: Pick<Append, 'store' | 'staging'>): Promise<void> {
  await store.delete([recordPath(staging.table)]);
  for await (const page of store.list(`${FOLDER}/${staging.table}/`)) await store.delete(page.map(({ path }) => path));
}

function recordPath(name: string): string {
  return `${FOLDER}/${name}.json`;
}

/** In a folder of this attempt's own. Throws CountMismatch. */
async function exported({ client, store, staging, columns, rows }: Append, size: number): Promise<FileList> {
  const path = `${FOLDER}/${staging.table}/${randomUUID()}`;
  const folder = store.absolute(path);
  const files = Math.min(MOST_FILES, Math.max(1, Math.ceil(size / FILE_SIZE)));
  const names = columns.map(({ name }) => quoted(name)).join(', ');
  const select = `SELECT /*+ REPARTITION(${files}) */ ${names} FROM ${tableSql(staging)}`;
  await client.run({
    sql: `INSERT OVERWRITE DIRECTORY ${literal(`${folder}/`)} USING PARQUET ${select}`,
    repeatable: false,
  });
  const found = await partsIn(store, path);
  const counted = await countRows(client, `parquet.${quoted(`${folder}/`)}`);
  if (counted === rows && found.length <= MOST_FILES) return { folder, names: found };
  throw new LonghaulError(
    'CountMismatch',
    `Connection "${client.config.name}": ${found.length} files with ${counted} rows were made of ${rows} staged rows; the target was left as it is.`,
    { next: 'They are made anew by the next attempt.' },
  );
}

/** Of what Spark writes beside the data (`_SUCCESS`, `_committed_…`), nothing. */
async function partsIn(store: VolumeStore, path: string): Promise<string[]> {
  const names: string[] = [];
  for await (const page of store.list(`${path}/`)) names.push(...page.map((file) => file.path.slice(path.length + 1)));
  return names.filter((name) => name.endsWith('.parquet') && !name.startsWith('_'));
}

/** The first one's stands. */
async function record(append: Append, own: FileList): Promise<FileList> {
  const { store, staging } = append;
  await store.putIfAbsent(recordPath(staging.table), Buffer.from(JSON.stringify(own)));
  return (await recordedList(append))!;
}
