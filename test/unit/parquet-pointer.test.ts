import { expect, it } from 'vitest';
import { tablePath } from '../../src/connectors/lake/table-path.js';
import { point, pointerPath } from '../../src/connectors/parquet/pointer.js';
import { Versions, type PublishedEntry } from '../../src/connectors/parquet/versions.js';
import { MemoryObjects } from '../support/memory-store.js';

function published(files: readonly string[]): PublishedEntry {
  return {
    ...{ kind: 'published', run: 'r', table: 't', epoch: 1, token: files.join(), mode: 'replace' },
    ...{ publishedAt: new Date(0).toISOString(), columns: [], rows: 1, files },
  };
}

it('a file is named by its URL, in which no letter but those of ASCII stands', async () => {
  const store = new MemoryObjects().store();
  const table = tablePath('public."Größe 100%"')!;
  const file = `${table}/_longhaul/run/0/1.parquet`;
  const versions = new Versions(store, table);
  await versions.put(1, published([file]));
  await point(store, table, versions);
  const line = Buffer.from((await store.get(pointerPath(table)))!).toString();
  expect(line).toMatch(/^memory:\/\/lake\/[\x21-\x7e]+\n$/);
  expect(decodeURIComponent(line.trim())).toBe(`memory://lake/${file}`);
});
