import { LonghaulError } from '../../core/errors.js';
import { shortHash } from '../hash.js';
import type { LakeColumn } from '../lake/model.js';
import type { WarehouseClient } from './client.js';
import type { VolumePlace } from './config.js';
import { cast, literal, quoted, tableSql, typeSql, type WarehouseTable } from './names.js';

/** Files that a statement of COPY INTO may name, by its documentation. */
export const MOST_FILES = 1_000;

/** What names the staging of a table of a run. */
export interface StagingKey {
  readonly run: string;
  readonly table: string;
  /** A table that started over has other files. */
  readonly snapshot?: number;
}

/** A data file that a receipt names. */
export interface StagedFile {
  /** From the store's root. */
  readonly path: string;
  readonly size: number;
}

/** Files of one folder, at most `MOST_FILES`. */
export interface FileList {
  /** Absolute, without a slash at its end. */
  readonly folder: string;
  readonly names: readonly string[];
}

/** Lies in the schema of the volume: who uses a target sees nothing of it. */
export function stagingTable(
  { catalog, schema }: VolumePlace,
  { run, table, snapshot = 0 }: StagingKey,
): WarehouseTable {
  return { catalog, schema, table: `longhaul_${shortHash(run, table, snapshot)}` };
}

export function guardTable(staging: WarehouseTable, epoch: number): WarehouseTable {
  return { ...staging, table: `${staging.table}_${epoch}` };
}

/** In the order of the files. `root`: the store's, absolute. */
export async function* listsOf(
  files: Iterable<StagedFile> | AsyncIterable<StagedFile>,
  root: string,
): AsyncGenerator<FileList> {
  let folder = '';
  let names: string[] = [];
  for await (const { path } of files) {
    const cut = path.lastIndexOf('/');
    const its = cut < 0 ? root : `${root}/${path.slice(0, cut)}`;
    if (names.length > 0 && (its !== folder || names.length === MOST_FILES)) {
      yield { folder, names };
      names = [];
    }
    folder = its;
    names.push(path.slice(cut + 1));
  }
  if (names.length > 0) yield { folder, names };
}

/**
 * Loads files that are not loaded yet: COPY INTO keeps, in the table's own transactions, which it has loaded, and of two statements
 * that load the same file at the same time one fails. `selected`: expressions over the file's columns.
 */
export function copyInto(table: WarehouseTable, selected: readonly string[], { folder, names }: FileList): string {
  return (
    `COPY INTO ${tableSql(table)} FROM (SELECT ${selected.join(', ')} FROM ${literal(`${folder}/`)}) ` +
    `FILEFORMAT = PARQUET FILES = (${names.map(literal).join(', ')}) ` +
    `FORMAT_OPTIONS ('ignoreCorruptFiles' = 'false', 'ignoreMissingFiles' = 'false', 'mergeSchema' = 'false') ` +
    `COPY_OPTIONS ('mergeSchema' = 'false', 'force' = 'false')`
  );
}

export interface Staging {
  readonly client: WarehouseClient;
  readonly staging: WarehouseTable;
  readonly columns: readonly LakeColumn[];
  /** Of all receipts. */
  readonly rows: number;
}

/** Loads all lists and counts. Idempotent. Throws CountMismatch, and loads everything anew the next time. */
export async function stage(
  { client, staging, columns, rows }: Staging,
  lists: AsyncIterable<FileList>,
): Promise<void> {
  const written = columns.map(({ name, type }) => `${quoted(name)} ${typeSql(type)}`).join(', ');
  await client.run({
    sql: `CREATE TABLE IF NOT EXISTS ${tableSql(staging)} (${written}) USING DELTA`,
    repeatable: true,
  });
  const selected = columns.map(({ name, type }) => cast(name, typeSql(type)));
  for await (const list of lists) await client.run({ sql: copyInto(staging, selected, list), repeatable: true });
  const staged = await countRows(client, tableSql(staging));
  if (staged === rows) return;
  await client.run({ sql: `DROP TABLE IF EXISTS ${tableSql(staging)}`, repeatable: true });
  throw new LonghaulError(
    'CountMismatch',
    `Connection "${client.config.name}": staging has ${staged} rows, the receipts have ${rows}; the target was left as it is.`,
    { next: 'It is staged anew; if it happens again, look for files that somebody changed in the volume.' },
  );
}

export async function countRows(client: WarehouseClient, from: string): Promise<number> {
  const [row] = await client.rows({ sql: `SELECT count(*) FROM ${from}`, repeatable: true });
  return Number(row![0]);
}

/** Removes the staging of a table that is published or discarded, and its guards. Idempotent. */
export async function dropStaging(client: WarehouseClient, staging: WarehouseTable): Promise<void> {
  const schema = `${quoted(staging.catalog)}.${quoted(staging.schema)}`;
  const like = `SHOW TABLES IN ${schema} LIKE '${staging.table}*'`;
  const answer = await client.run({ sql: like, repeatable: true });
  const at = answer.columns.findIndex((column) => column.toLowerCase() === 'tablename');
  for await (const batch of answer.batches())
    for (const row of batch) {
      const sql = `DROP TABLE IF EXISTS ${tableSql({ ...staging, table: row[at]! })}`;
      await client.run({ sql, repeatable: true });
    }
}
