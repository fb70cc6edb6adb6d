import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { commitPath, logPath } from '../../src/connectors/delta/log/names.js';
import { readSnapshot } from '../../src/connectors/delta/log/snapshot.js';
import type { VacuumedTable } from '../../src/connectors/types.js';
import type { TableRecord } from '../../src/core/model.js';
import { readLakeFiles } from '../support/lake-tables.js';
import { MemoryLake, meter } from '../support/memory-lake.js';
import { newRun } from '../support/lake-world.js';

const DAY = 86_400_000;
const TABLE = 's/a';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.parse('2026-01-01T02:00:00Z') });
});
afterEach(() => {
  vi.useRealTimers();
});

function sleep(days: number): void {
  vi.setSystemTime(Date.now() + days * DAY);
}

async function nightly(lake: MemoryLake, nights: number): Promise<TableRecord[]> {
  const records: TableRecord[] = [];
  for (let night = 0; night < nights; night++) {
    records.push(await lake.published('s.a'));
    sleep(1);
  }
  return records;
}

async function vacuum(lake: MemoryLake, days = 7, dryRun = false): Promise<VacuumedTable> {
  const found: VacuumedTable[] = [];
  for await (const each of lake.session().vacuum({ older: days * DAY, dryRun })) found.push(each);
  expect(found).toHaveLength(1);
  return found[0]!;
}

const fileOf = ({ staging }: TableRecord) => `${staging}0.parquet`;
const isThere = (lake: MemoryLake, record: TableRecord) => lake.objects.objects.has(fileOf(record));

async function filesAt(lake: MemoryLake, version: number): Promise<string[]> {
  const snapshot = await readSnapshot(lake.store(), TABLE, { version });
  const files: string[] = [];
  for await (const { path } of snapshot!.files()) files.push(`${TABLE}/${path}`);
  return files;
}

function commits(lake: MemoryLake): number[] {
  const names = lake.objects.paths(logPath(TABLE)).filter((path) => path.endsWith('.json'));
  return names.map((path) => Number(path.slice(logPath(TABLE).length, -5)));
}

/** Another engine's. */
function commit(lake: MemoryLake, version: number, action: object): void {
  const bytes = Buffer.from(`${JSON.stringify(action)}\n`);
  lake.objects.objects.set(commitPath(TABLE, version), { bytes, modifiedAt: new Date() });
}

async function setProperty(lake: MemoryLake, configuration: Record<string, string>): Promise<void> {
  const { metadata, version } = (await readSnapshot(lake.store(), TABLE))!;
  commit(lake, version + 1, { metaData: { ...metadata, configuration } });
}

describe('a vacuum of a Delta table', () => {
  it('leaves what versions of the last days need, and a log that begins with a checkpoint', async () => {
    const lake = new MemoryLake('delta');
    const records = await nightly(lake, 60);
    const told = await vacuum(lake, 7, true);
    expect(records.every((record) => isThere(lake, record))).toBe(true);
    const left = `${records[59]!.staging}left.parquet`;
    await lake.store().putIfAbsent(left, Buffer.from('by an attempt'));
    expect(await vacuum(lake)).toEqual(told);
    expect(lake.objects.objects.has(left)).toBe(true);
    // Replaced a week ago or more: 52 of them; the last eight were the newest at some time since.
    expect(records.map((record) => isThere(lake, record))).toEqual([...Array<boolean>(52).fill(false), ...Array<boolean>(8).fill(true)]); // prettier-ignore
    expect(told).toEqual({ to: 's.a', files: 52, bytes: told.bytes, entries: 21 });
    // Twenty commits and a checkpoint: version 29 was the newest 30 days ago; the checkpoint before it is that of version 20.
    expect(commits(lake)[0]).toBe(20);
    for (let version = 52; version < 60; version++)
      expect(await filesAt(lake, version)).toEqual([fileOf(records[version]!)]);
    expect(await filesAt(lake, 20)).toHaveLength(1);
    await expect(filesAt(lake, 19)).rejects.toThrow();
    expect(await vacuum(lake)).toMatchObject({ files: 0, entries: 0 });
    const [next] = await nightly(lake, 1);
    expect(await readLakeFiles(lake.store(), 'delta', 's.a')).toEqual([fileOf(next!)]);
  });

  it('keeps to what the table asks for, and to what it is told, whichever is longer', async () => {
    const lake = new MemoryLake('delta');
    const records = await nightly(lake, 20);
    await setProperty(lake, { 'delta.deletedFileRetentionDuration': 'interval 3 days' });
    // Its checkpoint has forgotten what was removed more than three days before it.
    records.push(...(await nightly(lake, 10)));
    expect(await vacuum(lake, 15)).toMatchObject({ files: 14 });
    await setProperty(lake, { 'delta.deletedFileRetentionDuration': 'interval 12 days' });
    expect(await vacuum(lake, 0)).toMatchObject({ files: 3 });
    expect(records.map((record) => isThere(lake, record)).indexOf(true)).toBe(17);
    await setProperty(lake, { 'delta.deletedFileRetentionDuration': 'a while' });
    expect(await vacuum(lake, 0)).toMatchObject({ files: 0 });
  });

  it('leaves a log that is not to be trimmed, and one without a checkpoint that is old enough', async () => {
    const lake = new MemoryLake('delta');
    await nightly(lake, 25);
    sleep(15);
    // Of the last midnight 30 days ago there are 9 versions, and no checkpoint.
    expect(await vacuum(lake)).toMatchObject({ entries: 0 });
    sleep(100);
    await setProperty(lake, { 'delta.enableExpiredLogCleanup': 'false' });
    expect(await vacuum(lake)).toMatchObject({ entries: 0 });
    await setProperty(lake, {});
    expect((await vacuum(lake)).entries).toBeGreaterThan(0);
    expect(commits(lake)[0]).toBe(20);
  });

  it('touches nothing of runs that are not over, of runs that it does not know, and of other writers', async () => {
    const lake = new MemoryLake('delta');
    await nightly(lake, 3);
    const [suspended] = await lake.ready(['s.a']);
    await lake.session().ledger.closeRun(suspended!.run, 'suspended');
    const [open] = await lake.ready(['s.a']);
    const others = ['_longhaul/unknown/0/1.parquet', '_longhaul/%/1.parquet', '_longhaul/1.parquet', 'part-1.parquet'];
    for (const path of others) await lake.store().putIfAbsent(`${TABLE}/${path}`, Buffer.from(path));
    sleep(100);
    expect(await vacuum(lake)).toMatchObject({ files: 2 });
    expect([suspended!, open!].map((record) => isThere(lake, record))).toEqual([true, true]);
    for (const path of others) expect(lake.objects.objects.has(`${TABLE}/${path}`)).toBe(true);
    await lake.session().publish(open!, meter());
    expect(await readLakeFiles(lake.store(), 'delta', 's.a')).toEqual([fileOf(open!)]);
  });

  it('keeps what is removed and comes back, and what a commit without a time removes', async () => {
    const lake = new MemoryLake('delta');
    const [first, second, third] = await nightly(lake, 3);
    const path = fileOf(first!).slice(TABLE.length + 1);
    const add = { path, partitionValues: {}, size: 3, modificationTime: 1, dataChange: true };
    commit(lake, 3, { add });
    commit(lake, 4, { remove: { path: fileOf(third!).slice(TABLE.length + 1), dataChange: true } });
    sleep(100);
    expect(await vacuum(lake)).toMatchObject({ files: 1 });
    expect([first!, second!, third!].map((record) => isThere(lake, record))).toEqual([true, false, true]);
  });

  it('says of a table of a kind that is not known that it left it', async () => {
    const lake = new MemoryLake('delta');
    await nightly(lake, 2);
    commit(lake, 2, { protocol: { minReaderVersion: 3, minWriterVersion: 7, readerFeatures: [], writerFeatures: ['new'] } }); // prettier-ignore
    sleep(100);
    const { problem, ...rest } = await vacuum(lake);
    expect(rest).toEqual({ to: 's.a', files: 0, bytes: 0, entries: 0 });
    expect(problem).toContain('new');
  });

  it('leaves to a publisher that has slept through it no version that nobody reads', async () => {
    const lake = new MemoryLake('delta');
    await nightly(lake, 1);
    const [record] = await lake.ready(['s.a'], 'append');
    let [open, arrive] = [() => {}, () => {}];
    const opened = new Promise<void>((resolve) => (open = resolve));
    const arrived = new Promise<void>((resolve) => (arrive = resolve));
    const publishing = lake
      .session({
        async before(operation, path) {
          if (operation !== 'put' || path !== commitPath(TABLE, 1)) return;
          arrive();
          await opened;
        },
      })
      .publish(record!, meter());
    await arrived;
    for (let version = 1; version <= 60; version++) {
      await lake.published('s.a', 'append');
      sleep(1);
    }
    sleep(30);
    expect((await vacuum(lake)).entries).toBeGreaterThan(0);
    expect(commits(lake)).not.toContain(1);
    open();
    await publishing;
    expect(await readLakeFiles(lake.store(), 'delta', 's.a')).toContain(fileOf(record!));
    expect((await lake.session().ledger.table(record!.run, record!.spec.table)).state).toBe('published');
  });
});

describe('a vacuum of a Parquet table', () => {
  it('leaves the newest content, the one before it, and what was replaced within the last days', async () => {
    const lake = new MemoryLake('parquet');
    const records = await nightly(lake, 20);
    expect(await vacuum(lake)).toMatchObject({ files: 12, entries: 0 });
    expect(records.map((record) => isThere(lake, record)).indexOf(true)).toBe(12);
    sleep(100);
    expect(await vacuum(lake)).toMatchObject({ files: 6 });
    expect(records.map((record) => isThere(lake, record)).indexOf(true)).toBe(18);
    expect(await readLakeFiles(lake.store(), 'parquet', 's.a')).toEqual([fileOf(records[19]!)]);
  });

  it('removes what `clean` has once left of a run that it has forgotten', async () => {
    const lake = new MemoryLake('parquet');
    const first = await lake.published('s.a');
    const { ledger } = lake.session();
    await lake.session().discard(first);
    expect(await ledger.forget(first.run)).toBe(true);
    await nightly(lake, 2);
    expect(isThere(lake, first)).toBe(true);
    sleep(8);
    expect(await vacuum(lake)).toMatchObject({ files: 1 });
    expect(isThere(lake, first)).toBe(false);
  });

  it('finds every target of the ledger, also behind one that was claimed often, or in vain', async () => {
    const lake = new MemoryLake('parquet');
    for (let night = 0; night < 3; night++) await lake.published('s.a');
    await lake.published('Odd "Schema".b');
    const [holder] = await lake.ready(['s.c']);
    const run = newRun();
    await expect(lake.ready(['s.c', 's.d'], 'replace', run)).rejects.toMatchObject({ code: 'TargetLeased' });
    const targets: string[] = [];
    for await (const to of lake.session().ledger.targets()) targets.push(to);
    expect(targets.toSorted()).toEqual(['Odd "Schema".b', 's.a', holder!.spec.to].toSorted()); // prettier-ignore
  });
});
