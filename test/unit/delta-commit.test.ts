import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { settle } from '../../src/connectors/delta/log/commit.js';
import { commitPath } from '../../src/connectors/delta/log/names.js';
import { readSnapshot } from '../../src/connectors/delta/log/snapshot.js';
import { DeltaMemoryStore } from '../support/delta-memory-store.js';
import {
  activeFiles,
  activeNames,
  COLUMNS,
  commitActions,
  dataFile,
  foreignAdd,
  foreignCommit,
  lakeColumn,
  publish,
  request,
  TABLE,
} from '../support/delta.js';

const create = { columns: COLUMNS, partitionBy: [] };

function close(store: DeltaMemoryStore, run: string, epoch = 1) {
  return settle({ ...request(store, run, []), epoch, create });
}

describe('a commit', () => {
  it('creates the table, with protocol, metadata, transaction and files', async () => {
    const store = new DeltaMemoryStore();
    const done = await publish(store, 'a', [dataFile('1.parquet', { id: { min: '1', max: '9', nulls: 0 } })]);
    expect(done).toEqual({ version: 0, alreadyPublished: false, checkpointDue: false });
    const [info, protocol, metaData, txn, add] = commitActions(store, 0);
    expect(info!.commitInfo).toMatchObject({ operation: 'WRITE', engineInfo: 'Longhaul/test', isBlindAppend: true });
    expect(protocol).toEqual({ protocol: { minReaderVersion: 1, minWriterVersion: 2 } });
    expect(JSON.parse(metaData!.metaData!.schemaString)).toEqual({
      type: 'struct',
      fields: [
        { name: 'id', type: 'long', nullable: false, metadata: {} },
        { name: 'name', type: 'string', nullable: true, metadata: {} },
      ],
    });
    expect(txn!.txn).toMatchObject({ appId: 'longhaul:a:orders', version: 1 });
    expect(add!.add).toMatchObject({
      path: '_longhaul/run-1/1.parquet',
      partitionValues: {},
      size: 3,
      dataChange: true,
    });
    expect(JSON.parse(add!.add!['stats'] as string)).toEqual({
      ...{ numRecords: 10, minValues: { id: 1 }, maxValues: { id: 9 }, nullCount: { id: 0 } },
    });
  });

  it('is made once, however often it is asked for', async () => {
    const store = new DeltaMemoryStore();
    await publish(store, 'a', [dataFile('1.parquet')]);
    await publish(store, 'b', [dataFile('2.parquet')]);
    const again = await publish(store, 'a', [dataFile('1.parquet')], { epoch: 2 });
    expect(again).toEqual({ version: 0, alreadyPublished: true, checkpointDue: false });
    expect(await activeNames(store)).toEqual(['1.parquet', '2.parquet']);
  });

  it('replaces all files of the version before, with their deletion vectors', async () => {
    const store = new DeltaMemoryStore();
    await publish(store, 'a', [dataFile('1.parquet')]);
    const deletionVector = {
      storageType: 'u',
      pathOrInlineDv: 'ab^-aqEH.-t@S}K{vb[*k^',
      offset: 4,
      sizeInBytes: 40,
      cardinality: 6,
    };
    foreignCommit(store, 1, [
      { remove: { path: '_longhaul/run-1/1.parquet', dataChange: true } },
      foreignAdd('_longhaul/run-1/1.parquet', { deletionVector }),
      foreignAdd('part%2001.parquet', { deletionVector: null }),
    ]);
    await publish(store, 'b', [dataFile('2.parquet')], { mode: 'replace' });
    const removes = commitActions(store, 2).flatMap(({ remove }) => (remove ? [remove] : []));
    expect(removes).toHaveLength(2);
    expect(removes[0]).toMatchObject({
      path: '_longhaul/run-1/1.parquet',
      deletionVector,
      extendedFileMetadata: true,
      size: 5,
    });
    expect(removes[1]).toMatchObject({ path: 'part%2001.parquet', partitionValues: {}, size: 5, dataChange: true });
    expect(removes[1]).not.toHaveProperty('deletionVector');
    expect(await activeNames(store)).toEqual(['2.parquet']);
    expect(await activeNames(store, 0)).toEqual(['1.parquet']);
  });

  it('removes what another writer adds while it is about to replace', async () => {
    const store = new DeltaMemoryStore();
    await publish(store, 'a', [dataFile('1.parquet')]);
    store.beforePut = async (path) => {
      store.beforePut = undefined;
      expect(path).toBe(commitPath(TABLE, 1));
      foreignCommit(store, 1, [
        foreignAdd('theirs.parquet'),
        { remove: { path: '_longhaul/run-1/1.parquet', dataChange: true } },
      ]);
      return Promise.resolve();
    };
    expect((await publish(store, 'b', [dataFile('2.parquet')], { mode: 'replace' })).version).toBe(2);
    expect(await activeNames(store)).toEqual(['2.parquet']);
    expect(commitActions(store, 2).filter(({ remove }) => remove !== undefined)).toHaveLength(1);
  });

  it('is refused when the table has changed in between', async () => {
    const store = new DeltaMemoryStore();
    await publish(store, 'a', [dataFile('1.parquet')]);
    store.beforePut = async () => {
      store.beforePut = undefined;
      const metaData = { ...(await readSnapshot(store, TABLE))!.metadata, partitionColumns: ['name'] };
      foreignCommit(store, 1, [{ metaData }]);
    };
    await expect(publish(store, 'b', [dataFile('2.parquet')])).rejects.toMatchObject({
      code: 'TargetChanged',
      message: expect.stringContaining('partitioned by name') as string,
    });
  });

  it.each([
    ['is not there', undefined],
    ['has 2 bytes instead of 3 bytes', 2],
  ])('is refused when a file %s', async (what, size) => {
    const store = new DeltaMemoryStore();
    const file = dataFile('lost.parquet');
    if (size !== undefined) store.set(file.path, Buffer.alloc(size));
    const files = (async function* () {
      yield await Promise.resolve(file);
    })();
    await expect(publish(store, 'a', [], { files })).rejects.toMatchObject({
      code: 'TargetChanged',
      message: `A data file of Delta table ${TABLE} ${what} (${file.path}); nothing was published.`,
    });
    expect(store.objects.has(commitPath(TABLE, 0))).toBe(false);
  });

  it('encodes paths, and has partition values as they are', async () => {
    const store = new DeltaMemoryStore();
    const columns = [...COLUMNS, lakeColumn('region', 'string')];
    const file = { ...dataFile('a b%c=d.parquet'), partitionValues: { region: 'a/b "ü"\n=%' } };
    await publish(store, 'a', [file], { columns, partitionBy: ['region'] });
    const [add] = await activeFiles(store);
    expect(add!.path).toBe('_longhaul/run-1/a%20b%25c=d.parquet');
    expect(add!.partitionValues).toEqual({ region: 'a/b "ü"\n=%' });
  });

  it('gives rows numbers and commits times, where the table has them', async () => {
    const store = new DeltaMemoryStore();
    await publish(store, 'a', []);
    const { metadata } = (await readSnapshot(store, TABLE))!;
    const later = Date.now() + 1_000_000;
    foreignCommit(store, 1, [
      { commitInfo: { inCommitTimestamp: later } },
      {
        protocol: {
          minReaderVersion: 1,
          minWriterVersion: 7,
          writerFeatures: ['rowTracking', 'domainMetadata', 'inCommitTimestamp'],
        },
      },
      { metaData: { ...metadata, configuration: { 'delta.enableInCommitTimestamps': 'true' } } },
      { domainMetadata: { domain: 'delta.rowTracking', configuration: '{"rowIdHighWaterMark":41}', removed: false } },
    ]);
    await publish(store, 'b', [dataFile('1.parquet'), dataFile('2.parquet')]);
    const actions = commitActions(store, 2);
    expect(actions[0]).toMatchObject({ commitInfo: { inCommitTimestamp: later + 1 } });
    const adds = actions.flatMap(({ add }) => (add ? [add] : []));
    expect(adds.map(({ baseRowId }) => baseRowId)).toEqual([42, 52]);
    expect(adds.every(({ defaultRowCommitVersion }) => defaultRowCommitVersion === 2)).toBe(true);
    const { domains } = (await readSnapshot(store, TABLE))!;
    expect(domains.get('delta.rowTracking')).toBe('{"rowIdHighWaterMark":61}');
  });
});

describe('the fence', () => {
  it('closes a run before it is published, where there is a table and where there is none', async () => {
    for (const there of [true, false]) {
      const store = new DeltaMemoryStore();
      if (there) await publish(store, 'other', [dataFile('0.parquet')]);
      expect(await close(store, 'a')).toBe('closed');
      expect(await close(store, 'a')).toBe('closed');
      await expect(publish(store, 'a', [dataFile('1.parquet')])).rejects.toMatchObject({ code: 'RunClosed' });
      expect(await activeNames(store)).toEqual(there ? ['0.parquet'] : []);
      await publish(store, 'a', [dataFile('1.parquet')], { epoch: 2 });
      expect(await activeNames(store)).toContain('1.parquet');
    }
  });

  it('finds a run published', async () => {
    const store = new DeltaMemoryStore();
    await publish(store, 'a', [dataFile('1.parquet')]);
    expect(await close(store, 'a')).toBe('published');
    expect(store.objects.has(commitPath(TABLE, 1))).toBe(false);
  });

  it('and a publisher that race end in one of the two, and agree', async () => {
    const moves = fc.array(fc.constantFrom('publish', 'close', 'other', 'foreign'), { minLength: 2, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(moves, fc.boolean(), fc.infiniteStream(fc.nat(3)), async (made, there, waits) => {
        const store = new DeltaMemoryStore();
        if (there) await publish(store, 'first', [dataFile('0.parquet')]);
        store.beforePut = () => ticks(Number(waits.next().value));
        const answers = await Promise.all(made.map((move, index) => moved(store, move, index)));
        const published = answers.filter((answer) => answer === 'published').length > 0;
        const closed = answers.includes('closed') || answers.includes('RunClosed');
        expect(published && closed).toBe(false);
        expect((await activeNames(store)).filter((name) => name === 'mine.parquet')).toHaveLength(published ? 1 : 0);
        expect(commitsOf(store, 'longhaul:mine:orders')).toBe(published ? 1 : 0);
        const others = made.flatMap((move, index) => (move === 'other' ? [`other-${index}.parquet`] : []));
        expect(await activeNames(store)).toEqual(expect.arrayContaining(others));
      }),
      { numRuns: 150 },
    );
  });
});

describe('writers that commit at the same time', () => {
  it('each commit once, whatever comes between', async () => {
    const writers = fc.array(fc.constantFrom('append', 'replace', 'foreign'), { minLength: 2, maxLength: 10 });
    await fc.assert(
      fc.asyncProperty(writers, fc.infiniteStream(fc.nat(4)), async (modes, waits) => {
        const store = new DeltaMemoryStore();
        await publish(store, 'first', [dataFile('first.parquet')]);
        store.beforePut = () => ticks(Number(waits.next().value));
        await Promise.all(
          modes.map((mode, index) =>
            mode === 'foreign'
              ? foreignAppend(store, index)
              : publish(store, `${index}`, [dataFile(`${index}.parquet`)], { mode: mode }),
          ),
        );
        expect(await activeNames(store)).toEqual(expected(store, modes.length));
      }),
      { numRuns: 100 },
    );
  });
});

/** What is there by the commits in their order: the latest replace, and what was added after it. */
function expected(store: DeltaMemoryStore, count: number): string[] {
  let names: string[] = [];
  const runs = new Set<string>();
  for (let version = 0; version <= count; version++) {
    const actions = commitActions(store, version);
    const info = actions.find(({ commitInfo }) => commitInfo !== undefined)?.commitInfo;
    if (JSON.stringify(info ?? null).includes('"mode":"Overwrite"')) names = [];
    names.push(...actions.flatMap(({ add }) => (add ? [add.path.split('/').at(-1)!] : [])));
    const txn = actions.find((action) => action.txn !== undefined)?.txn;
    if (txn !== undefined) {
      expect(runs).not.toContain(txn.appId);
      runs.add(txn.appId);
    }
  }
  return names.sort();
}

function commitsOf(store: DeltaMemoryStore, appId: string): number {
  return [...store.objects.keys()].filter(
    (path) => path.endsWith('.json') && store.text(path).includes(`"appId":"${appId}"`),
  ).length;
}

async function moved(store: DeltaMemoryStore, move: string, index: number): Promise<string> {
  if (move === 'foreign') return foreignAppend(store, index);
  if (move === 'other')
    return publish(store, `other-${index}`, [dataFile(`other-${index}.parquet`)]).then(() => 'other');
  if (move === 'close') return close(store, 'mine');
  return publish(store, 'mine', [dataFile('mine.parquet')]).then(
    () => 'published',
    (error: unknown) => (error as { code: string }).code,
  );
}

/** A writer of another kind: it knows nothing of transactions, and takes the next version that is free, where there is a table. */
async function foreignAppend(store: DeltaMemoryStore, index: number): Promise<string> {
  for (let version = 1; ; version++) {
    const line = JSON.stringify(foreignAdd(`foreign-${index}.parquet`));
    if (!store.objects.has(commitPath(TABLE, version - 1))) return 'foreign';
    if (await store.putIfAbsent(commitPath(TABLE, version), Buffer.from(line))) return 'foreign';
  }
}

async function ticks(count: number): Promise<void> {
  for (let tick = 0; tick < count; tick++) await new Promise((resolve) => setImmediate(resolve));
}
