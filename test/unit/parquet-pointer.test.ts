import { expect, it } from 'vitest';
import { tablePath } from '../../src/connectors/lake/table-path.js';
import { point, pointerPath } from '../../src/connectors/parquet/pointer.js';
import { Versions, type PublishedEntry } from '../../src/connectors/parquet/versions.js';
import { MemoryObjects, type Operation } from '../support/memory-store.js';

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

it('is the newest state, also when one empty list has followed another while an older one was on its way', async () => {
  const objects = new MemoryObjects();
  const table = tablePath('public.t')!;
  const versions = new Versions(objects.store(), table);
  const empty = (number: number) => ({ ...published([]), token: `empty ${number}` });
  await versions.put(1, empty(1));
  await point(objects.store(), table, versions);
  await versions.put(2, published([`${table}/_longhaul/run/0/1.parquet`]));
  let late = true;
  const before = async (operation: Operation) => {
    if (operation !== 'replace' || !late) return;
    late = false;
    await versions.put(3, empty(3));
    await point(objects.store(), table, versions);
  };
  const slow = objects.store(undefined, { before });
  await point(slow, table, new Versions(slow, table));
  expect(Buffer.from((await objects.store().get(pointerPath(table)))!).toString()).toBe('');
});
