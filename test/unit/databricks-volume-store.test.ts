import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import { TIMING } from '../../src/connectors/databricks/http.js';
import { keepsFirst, VolumeStore } from '../../src/connectors/databricks/volume-store.js';
import { FakeDatabricks } from '../support/fake-databricks.js';

let fake: FakeDatabricks;
let store: VolumeStore;
const quick = { ...TIMING, first: 2, longest: 10 };
beforeAll(async () => {
  fake = await FakeDatabricks.start();
  store = new VolumeStore(fake.config(), new AbortController().signal, quick);
});
beforeEach(() => {
  fake.faults.length = 0;
  fake.looksBeforeItWrites = false;
});
afterAll(() => fake.stop());

const bytes = (text: string) => Buffer.from(text);

async function listed(prefix: string, after?: string): Promise<string[]> {
  const found: string[] = [];
  for await (const page of store.list(prefix, after)) found.push(...page.map(({ path }) => path));
  return found;
}

it('keeps the first of a path', async () => {
  expect(store.url).toBe('/Volumes/dev/landing/files/longhaul');
  expect(await store.putIfAbsent('first/a b#%.json', bytes('one'))).toBe(true);
  expect(await store.putIfAbsent('first/a b#%.json', bytes('two'))).toBe(false);
  expect(Buffer.from((await store.get('first/a b#%.json'))!).toString()).toBe('one');
  expect(await store.get('first/nothing')).toBeUndefined();
});

it('knows its own file again after a lost answer', async () => {
  fake.faults.push({ at: /^PUT .*lost/, what: 'lost' });
  expect(await store.putIfAbsent('first/lost.json', bytes('mine'))).toBe(true);
});

it('tells a service that keeps the first from one that looks and then writes', async () => {
  expect(await keepsFirst(store, 'probe')).toBe(true);
  fake.looksBeforeItWrites = true;
  expect(await keepsFirst(store, 'probe')).toBe(false);
  expect(await listed('probe/')).toEqual([]);
});

it('gives ranges and sizes', async () => {
  await store.putIfAbsent('range/a', bytes('0123456789'));
  expect(Buffer.from(await store.range('range/a', 2, 5)).toString()).toBe('234');
  const head = await store.head('range/a');
  expect(head).toMatchObject({ path: 'range/a', size: 10 });
  for await (const [file] of store.list('range/')) expect(file!.tag).toBe(head!.tag);
  expect(await store.head('range/b')).toBeUndefined();
  await expect(store.range('range/b', 0, 1)).rejects.toMatchObject({ code: 'Unknown' });
});

it('sends a file with its length, again when it is put off, and leaves nothing on this disk', async () => {
  fake.faults.push({ at: /^PUT .*big/, what: { status: 429, retryAfter: '0' } }, { at: /^PUT .*big/, what: 'reset' });
  // One of its own: others upload at the same time.
  const folder = mkdtempSync(join(tmpdir(), 'longhaul-test-'));
  vi.stubEnv('TMPDIR', folder);
  onTestFinished(() => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true });
  });
  const chunk = Buffer.alloc(700_000, 'x');
  await using writer = await store.create('data/big.parquet');
  for (let i = 0; i < 3; i++) await writer.write(chunk);
  expect(await writer.finish()).toBe(2_100_000);
  expect(await store.head('data/big.parquet')).toMatchObject({ size: 2_100_000 });
  expect(readdirSync(folder)).toEqual([]);
});

it('sends nothing of a writer that is not finished', async () => {
  const writer = await store.create('data/half.parquet');
  await writer.write(bytes('half'));
  await writer[Symbol.asyncDispose]();
  expect(await store.head('data/half.parquet')).toBeUndefined();
});

it('lists by the bytes of whole paths, over pages and folders', async () => {
  const paths = ['l/a', 'l/a-b', 'l/a/1', 'l/a/2', 'l/b', 'l/c/d/e', 'l/é', 'l/z', 'm/x'].filter(
    (path) => path !== 'l/a',
  );
  for (const path of paths) await store.putIfAbsent(path, bytes(path));
  const sorted = paths.filter((path) => path.startsWith('l/'));
  expect(await listed('l/')).toEqual(sorted.sort((a, b) => Buffer.compare(bytes(a), bytes(b))));
  expect(await listed('l/a')).toEqual(['l/a-b', 'l/a/1', 'l/a/2']);
  expect(await listed('l/', 'l/a/1')).toEqual(['l/a/2', 'l/b', 'l/c/d/e', 'l/z', 'l/é']);
  expect(await listed('nothing/')).toEqual([]);
});

it('deletes what is there', async () => {
  await store.putIfAbsent('d/1', bytes('1'));
  await store.delete(['d/1', 'd/2']);
  expect(await store.get('d/1')).toBeUndefined();
});
