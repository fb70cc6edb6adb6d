import { commitPath } from '../../src/connectors/delta/log/names.js';
import { publishCommit, type PublishRequest } from '../../src/connectors/delta/log/commit.js';
import { readSnapshot } from '../../src/connectors/delta/log/snapshot.js';
import type { Action, AddAction } from '../../src/connectors/delta/log/actions.js';
import type { ColumnStatistics, DataFile, LakeColumn, LakeType } from '../../src/connectors/lake/model.js';
import type { ObjectStore } from '../../src/connectors/objects/store.js';
import type { DeltaMemoryStore } from './delta-memory-store.js';

export const TABLE = 'bronze/orders';

export function lakeColumn(name: string, type: LakeType | LakeType['kind'], nullable = true): LakeColumn {
  const full = (typeof type === 'string' ? { kind: type } : type) as LakeType;
  const source = { name, type: 'text', definition: 'text', notNull: !nullable, generated: false };
  return { name, type: full, nullable, source };
}

export const COLUMNS = [lakeColumn('id', 'long', false), lakeColumn('name', 'string')];

export function dataFile(name: string, statistics: Record<string, ColumnStatistics> = {}, rows = 10): DataFile {
  return { path: `${TABLE}/_longhaul/run-1/${name}`, size: 3, rows, statistics };
}

/** Puts the files there, as an attempt has. */
export async function* written(store: DeltaMemoryStore, files: readonly DataFile[]): AsyncGenerator<DataFile> {
  for (const file of files) {
    store.set(file.path, Buffer.alloc(file.size, 1));
    yield await Promise.resolve(file);
  }
}

export function request(
  store: DeltaMemoryStore,
  run: string,
  files: readonly DataFile[],
  rest: Partial<PublishRequest> = {},
): PublishRequest {
  return {
    ...{ store, tablePath: TABLE, appId: `longhaul:${run}:orders`, closedAppId: `longhaul-closed:${run}:orders` },
    ...{ epoch: 1, mode: 'append', columns: COLUMNS, partitionBy: [], engine: 'Longhaul/test' },
    files: written(store, files),
    ...rest,
  };
}

export function publish(...parameters: Parameters<typeof request>) {
  return publishCommit(request(...parameters));
}

export async function activeFiles(store: ObjectStore, version?: number): Promise<AddAction[]> {
  const snapshot = await readSnapshot(store, TABLE, version === undefined ? {} : { version });
  const found: AddAction[] = [];
  for await (const add of snapshot?.files() ?? []) found.push(add);
  return found;
}

export async function activeNames(store: ObjectStore, version?: number): Promise<string[]> {
  return (await activeFiles(store, version)).map(({ path }) => path.slice(path.lastIndexOf('/') + 1)).sort();
}

/** As another engine would. */
export function foreignCommit(store: DeltaMemoryStore, version: number, actions: readonly object[]): void {
  const lines = actions.map((action) => JSON.stringify(action)).join('\n');
  if (store.objects.has(commitPath(TABLE, version))) throw new Error(`version ${version} is there`);
  store.set(commitPath(TABLE, version), Buffer.from(lines));
}

export function foreignAdd(path: string, rest: object = {}): object {
  return { add: { path, partitionValues: {}, size: 5, modificationTime: 1, dataChange: true, ...rest } };
}

export function commitActions(store: DeltaMemoryStore, version: number): Action[] {
  const lines = store.text(commitPath(TABLE, version)).trim().split('\n');
  return lines.map((line) => JSON.parse(line) as Action);
}
