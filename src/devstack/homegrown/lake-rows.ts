import { join } from 'node:path';
import { decodePath } from '../../connectors/delta/log/actions.js';
import { readSnapshot } from '../../connectors/delta/log/snapshot.js';
import { tablePath } from '../../connectors/lake/table-path.js';
import { openStore } from '../../connectors/objects/open.js';
import { readParquet } from '../../connectors/rows/index.js';
import type { Row } from '../../connectors/types.js';

const quiet = () => undefined;

/** The rows of a Delta table at its latest version, each a JSON object with values as texts, in batches of so many. */
export async function* lakeRows(folder: string, to: string, batchSize: number): AsyncGenerator<string[]> {
  const { signal } = new AbortController();
  const log = { debug: quiet, info: quiet, warn: quiet };
  await using store = await openStore({ kind: 'local', path: folder }, { name: 'lake', signal, log });
  const path = tablePath(to)!;
  const snapshot = (await readSnapshot(store, path))!;
  const { fields } = JSON.parse(snapshot.metadata.schemaString) as { fields: { name: string }[] };
  const columns = fields.map(({ name }) => ({
    ...{ name, type: 'text', definition: 'text', notNull: false, generated: false },
  }));
  const files = (async function* () {
    for await (const add of snapshot.files()) yield join(folder, path, decodePath(add.path));
  })();
  let batch: string[] = [];
  for await (const { rows } of readParquet(files, { columns, signal, subject: to })) {
    batch.push(...rows.map((row) => jsonOf(columns, row)));
    if (batch.length < batchSize) continue;
    yield batch;
    batch = [];
  }
  yield batch;
}

function jsonOf(columns: readonly { readonly name: string }[], row: Row): string {
  const text = (value: Row[number]) => (typeof value === 'bigint' || typeof value === 'number' ? String(value) : value);
  return JSON.stringify(Object.fromEntries(columns.map(({ name }, place) => [name, text(row[place]!)])));
}
