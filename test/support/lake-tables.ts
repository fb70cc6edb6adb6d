import { parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { decodePath } from '../../src/connectors/delta/log/actions.js';
import { readSnapshot } from '../../src/connectors/delta/log/snapshot.js';
import { tablePath } from '../../src/connectors/lake/table-path.js';
import type { ObjectStore } from '../../src/connectors/objects/store.js';
import { pointerPath } from '../../src/connectors/parquet/pointer.js';
import { Versions } from '../../src/connectors/parquet/versions.js';

/** The rows that a reader of the table sees, through a library that we did not write. Undefined: there is no table. */
export async function readLakeTable(
  store: ObjectStore,
  type: 'delta' | 'parquet',
  to: string,
): Promise<Record<string, unknown>[] | undefined> {
  const files = await readLakeFiles(store, type, to);
  if (files === undefined) return undefined;
  const rows: Record<string, unknown>[] = [];
  for (const path of files) {
    const bytes = (await store.get(path))!;
    const file = new Uint8Array(bytes).buffer;
    rows.push(...(await parquetReadObjects({ file, compressors })));
  }
  return rows;
}

/** Paths from the store's root of the files that a reader of the table reads. Undefined: there is no table. */
export function readLakeFiles(
  store: ObjectStore,
  type: 'delta' | 'parquet',
  to: string,
): Promise<string[] | undefined> {
  return type === 'delta' ? deltaFiles(store, to) : listedFiles(store, to);
}

/** Paths from the store's root. */
export async function deltaFiles(store: ObjectStore, to: string): Promise<string[] | undefined> {
  const path = tablePath(to)!;
  const snapshot = await readSnapshot(store, path);
  if (snapshot === undefined) return undefined;
  const files: string[] = [];
  for await (const add of snapshot.files()) files.push(`${path}/${decodePath(add.path)}`);
  return files;
}

async function listedFiles(store: ObjectStore, to: string): Promise<string[] | undefined> {
  const path = tablePath(to)!;
  const pointer = await store.get(pointerPath(path));
  if (pointer === undefined) return (await new Versions(store, path).last()) === 0 ? undefined : [];
  const lines = Buffer.from(pointer).toString().split('\n').filter(Boolean);
  return lines.map((line) => line.slice(store.url.length + 1));
}
