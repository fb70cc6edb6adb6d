import { parquetMetadataAsync, parquetScan, parquetSchema } from 'hyparquet';
import type { AsyncBuffer, FileMetaData, RowGroup, SchemaElement, SchemaTree } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import type { ObjectStore } from '../../objects/store.js';
import { actionsOf, logBroken, type Action } from './actions.js';
import type { CheckpointFiles } from './listing.js';
import { logPath } from './names.js';

/** `state`: all but data files. `files`: what a reader or a remove needs of them. `all`: what a checkpoint keeps of them. */
export type Wanted = 'state' | 'files' | 'all';

const FILE_FIELDS = ['add', 'remove'];
const STATE_FIELDS = ['metaData', 'protocol', 'txn', 'domainMetadata', 'sidecar'];
/** Forms of what stands there as text too, and of no use without the columns' types. */
const PARSED = new Set(['stats_parsed', 'partitionValues_parsed']);
/** By far the most of a checkpoint. */
const BULKY = new Set([...PARSED, 'stats', 'tags']);

/** The actions of a checkpoint, a row group at a time, those of its sidecars included. */
export async function* checkpointActions(
  store: ObjectStore,
  tablePath: string,
  checkpoint: CheckpointFiles,
  wanted: Wanted,
): AsyncGenerator<Action> {
  for (const path of checkpoint.paths) {
    const sidecars: string[] = [];
    for await (const action of fileActions(store, tablePath, path, wanted)) {
      if (action.sidecar !== undefined) sidecars.push(action.sidecar.path);
      else yield action;
    }
    if (wanted === 'state') continue;
    for (const name of sidecars) yield* fileActions(store, tablePath, sidecarPath(tablePath, name), wanted);
  }
}

function sidecarPath(tablePath: string, name: string): string {
  return logPath(tablePath, `_sidecars/${decodeURIComponent(name.slice(name.lastIndexOf('/') + 1))}`);
}

async function* fileActions(
  store: ObjectStore,
  tablePath: string,
  path: string,
  wanted: Wanted,
): AsyncGenerator<Action> {
  const found = await store.head(path);
  if (found === undefined) throw logBroken(tablePath, 'a part of its checkpoint is not there any more');
  if (path.endsWith('.json')) {
    yield* actionsOf((await store.get(path)) ?? Buffer.alloc(0), tablePath, { files: wanted !== 'state' });
    return;
  }
  try {
    yield* parquetActions(bufferOf(store, path, found.size), wanted);
  } catch (cause) {
    throw logBroken(tablePath, 'its checkpoint is not a Parquet file as it should be', cause);
  }
}

function bufferOf(store: ObjectStore, path: string, byteLength: number): AsyncBuffer {
  return {
    byteLength,
    slice: async (start, end = byteLength) => {
      const bytes = await store.range(path, start < 0 ? byteLength + start : start, end);
      return Uint8Array.from(bytes).buffer;
    },
  };
}

async function* parquetActions(file: AsyncBuffer, wanted: Wanted): AsyncGenerator<Action> {
  const fields = wanted === 'state' ? STATE_FIELDS : [...FILE_FIELDS, 'sidecar'];
  const leftOut = wanted === 'all' ? PARSED : BULKY;
  const metadata = pruned(
    await parquetMetadataAsync(file, { geoparquet: false }),
    ([field, name]) => fields.includes(field!) && !(FILE_FIELDS.includes(field!) && leftOut.has(name ?? '')),
  );
  const columns = parquetSchema(metadata).children.map(({ element }) => element.name);
  let rowStart = 0;
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows);
    // A scan keeps what it has read: one for each row group.
    const scan = await parquetScan({ file, metadata, compressors, geoparquet: false });
    for (const column of columns) {
      if (rowEnd === rowStart || isEmpty(group, column)) continue;
      const values = await scan.readColumn({ column, rowStart, rowEnd });
      for (const value of values) {
        if (value !== null && value !== undefined) yield { [column]: plain(value) };
      }
    }
    rowStart = rowEnd;
  }
}

/** By its statistics: most row groups hold nothing but files. */
function isEmpty({ columns }: RowGroup, column: string): boolean {
  const leaves = columns.flatMap(({ meta_data: leaf }) => (leaf?.path_in_schema[0] === column ? [leaf] : []));
  return leaves.every(({ statistics, num_values: values }) => statistics?.null_count === values);
}

/** The file as if it had only the columns whose paths are wanted: the others are not read, not even of a struct. */
function pruned(metadata: FileMetaData, keep: (path: readonly string[]) => boolean): FileMetaData {
  const root = parquetSchema(metadata);
  const schema = root.children.flatMap((child) => elementsOf(child, keep));
  const count = root.children.filter((child) => elementsOf(child, keep).length > 0).length;
  return {
    ...metadata,
    schema: [{ ...root.element, num_children: count }, ...schema],
    row_groups: metadata.row_groups.map((group) => ({
      ...group,
      columns: group.columns.filter(({ meta_data: column }) => column !== undefined && keep(column.path_in_schema)),
    })),
  };
}

function elementsOf(node: SchemaTree, keep: (path: readonly string[]) => boolean): SchemaElement[] {
  if (node.children.length === 0) return keep(node.path) ? [node.element] : [];
  const children = node.children.map((child) => elementsOf(child, keep)).filter((elements) => elements.length > 0);
  if (children.length === 0) return [];
  return [{ ...node.element, num_children: children.length }, ...children.flat()];
}

const MAPS = new Set(['partitionValues', 'configuration', 'options', 'tags']);

/** As in a JSON commit: numbers, and nothing where a field is null. In a map, null is a value. */
function plain(value: unknown, name = ''): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map((each) => plain(each));
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).filter(([, each]) => MAPS.has(name) || (each !== null && each !== undefined));
  return Object.fromEntries(entries.map(([key, each]) => [key, plain(each, key)]));
}
