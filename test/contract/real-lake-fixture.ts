import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDeltaConnector } from '../../src/connectors/delta/index.js';
import { publishCommit } from '../../src/connectors/delta/log/commit.js';
import type { LakeConnectionConfig } from '../../src/connectors/lake/config.js';
import { lakeColumns } from '../../src/connectors/lake/destination/columns.js';
import { tablePath } from '../../src/connectors/lake/table-path.js';
import { createMemoryConnector, memoryServer } from '../../src/connectors/memory/index.js';
import { openStore, type StoreLocation } from '../../src/connectors/objects/open.js';
import type { ObjectStore } from '../../src/connectors/objects/store.js';
import { createParquetConnector } from '../../src/connectors/parquet/index.js';
import { Versions } from '../../src/connectors/parquet/versions.js';
import type { ColumnShape } from '../../src/core/model.js';
import { readLakeTable } from '../support/lake-tables.js';
import type { Fixture } from './fixture.js';

const COLUMNS: readonly ColumnShape[] = [
  { name: 'id', type: 'integer', definition: 'integer', notNull: true, generated: false },
  { name: 'note', type: 'text', definition: 'text', notNull: false, generated: false },
];

/** A memory source, and tables of Delta or of Parquet files; in a folder of its own, unless a location is given. */
export async function realLakeFixture(type: 'delta' | 'parquet', location?: StoreLocation): Promise<Fixture> {
  const name = `source ${randomUUID()}`;
  const source = memoryServer(name);
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-lake-'));
  const place = location ?? { kind: 'local' as const, path: folder };
  const config: LakeConnectionConfig = {
    ...{ type, name: 'lake', location: place, compression: 'zstd', targetFileSize: 1e8, outOfRange: 'error' },
  };
  const store = await openStore(place, { name: 'lake', signal: new AbortController().signal, log });
  return {
    source: createMemoryConnector({ name: 'source', server: name }),
    destination: type === 'delta' ? createDeltaConnector(config) : createParquetConnector(config),
    createSource(from, count) {
      const rows = Array.from({ length: count }, (_, id) => [id, `note ${id}`]);
      source.tables.set(from, { columns: COLUMNS, primaryKey: ['id'], rows });
      return Promise.resolve();
    },
    createTarget: (to) => (type === 'delta' ? createDelta(store, to) : createParquet(store, to)),
    async visible(to) {
      const rows = await readLakeTable(store, type, to);
      return rows?.map(({ id }) => Number(id)).sort((a, b) => a - b);
    },
    rejects: () => Promise.resolve([]),
    range: (from, to) => JSON.stringify([from, to]),
    sessions: () => Promise.resolve(0),
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const quiet = () => undefined;
const log = { debug: quiet, info: quiet, warn: quiet };

const shape = { system: 'memory', columns: COLUMNS, primaryKey: ['id'] };
const spec = { table: 'x', to: 'x', mode: 'replace', partition: { by: 'auto' } } as const;

async function createDelta(store: ObjectStore, to: string): Promise<void> {
  const { columns } = lakeColumns(spec, shape, ['id', 'note']);
  const files = (async function* () {})();
  await publishCommit({
    ...{ store, tablePath: tablePath(to)!, appId: 'made', closedAppId: 'not made', epoch: 1, engine: 'test' },
    ...{ columns, partitionBy: [], mode: 'replace', files },
  });
}

async function createParquet(store: ObjectStore, to: string): Promise<void> {
  const { columns } = lakeColumns(spec, shape, ['id', 'note']);
  const named = { run: 'made', table: 'x', epoch: 1, token: randomUUID() };
  await new Versions(store, tablePath(to)!).put(1, {
    ...{ kind: 'published', ...named, mode: 'replace', publishedAt: new Date().toISOString() },
    ...{ columns: columns.map(({ name, type, nullable }) => ({ name, type, nullable })), rows: 0, files: [] },
  });
}
