import { expect, it } from 'vitest';
import { writeCheckpoint } from '../../src/connectors/delta/log/checkpoint.js';
import {
  checkpointPath,
  commitPath,
  lastCheckpointPath,
  logPath,
  padded,
} from '../../src/connectors/delta/log/names.js';
import { referencedFiles } from '../../src/connectors/delta/log/references.js';
import { readSnapshot } from '../../src/connectors/delta/log/snapshot.js';
import { DeltaMemoryStore } from '../support/delta-memory-store.js';
import {
  activeFiles,
  activeNames,
  dataFile,
  foreignAdd,
  foreignCommit,
  lakeColumn,
  publish,
  TABLE,
  COLUMNS,
} from '../support/delta.js';

const columns = [...COLUMNS, lakeColumn('region', 'string')];
const deletionVector = { storageType: 'i', pathOrInlineDv: 'wi5b', sizeInBytes: 40, cardinality: 6 };

/** Three versions: files with statistics, partition values that are NULL, a deletion vector, a tombstone, a domain. */
async function table(): Promise<DeltaMemoryStore> {
  const store = new DeltaMemoryStore();
  const files = ['1', '2', '3'].map((name, index) => ({
    ...dataFile(`${name}.parquet`, { id: { min: '1', max: '9007199254740993', nulls: 0 } }),
    partitionValues: { region: index === 0 ? null : `r${index}` },
  }));
  await publish(store, 'a', files, { columns, partitionBy: ['region'] });
  foreignCommit(store, 1, [
    {
      remove: {
        path: '_longhaul/run-1/1.parquet',
        dataChange: true,
        deletionTimestamp: Date.now(),
        partitionValues: { region: null },
        size: 3,
      },
    },
    { remove: { path: 'old.parquet', dataChange: true, deletionTimestamp: 1 } },
    { remove: { path: '_longhaul/run-1/2.parquet', dataChange: true, deletionTimestamp: Date.now() } },
    foreignAdd('_longhaul/run-1/2.parquet', {
      deletionVector,
      partitionValues: { region: 'r1' },
      tags: { a: 'b' },
      stats: '{"numRecords":10}',
    }),
    { domainMetadata: { domain: 'ours', configuration: '{}', removed: false } },
    { txn: { appId: 'stream', version: 7 } },
  ]);
  return store;
}

it('a checkpoint says what the commits up to it say', async () => {
  const store = await table();
  const [before, files] = [(await readSnapshot(store, TABLE))!, await activeFiles(store)];
  expect(await writeCheckpoint(store, TABLE, 1)).toMatchObject({ files: 2, size: 9 });
  expect(await writeCheckpoint(store, TABLE, 1)).toBeUndefined();
  store.objects.delete(commitPath(TABLE, 0));
  store.objects.delete(commitPath(TABLE, 1));
  const after = (await readSnapshot(store, TABLE))!;
  expect(after.version).toBe(1);
  expect([after.protocol, after.metadata]).toEqual([before.protocol, before.metadata]);
  expect([after.txns, after.domains]).toEqual([before.txns, before.domains]);
  const lean = files.map(({ stats: _stats, tags: _tags, ...add }) => ({ ...add, dataChange: false }));
  expect(await activeFiles(store)).toEqual(expect.arrayContaining(lean));
  const states = [];
  for await (const state of after.fileActions()) states.push(state);
  expect(states).toEqual(expect.arrayContaining(files.map((add) => ({ add: { ...add, dataChange: false } }))));
  const removed = states.flatMap((state) => ('remove' in state ? [state.remove.path] : []));
  expect(removed.sort()).toEqual(['_longhaul/run-1/1.parquet', '_longhaul/run-1/2.parquet']);
});

it('is read with the commits after it, and an older version without it', async () => {
  const store = await table();
  await writeCheckpoint(store, TABLE, 1);
  await publish(store, 'b', [{ ...dataFile('4.parquet'), partitionValues: { region: 'x' } }], {
    columns,
    partitionBy: ['region'],
    mode: 'replace',
  });
  expect(await activeNames(store)).toEqual(['4.parquet']);
  expect(await activeNames(store, 1)).toEqual(['2.parquet', '3.parquet']);
  expect(await activeNames(store, 0)).toEqual(['1.parquet', '2.parquet', '3.parquet']);
});

it('is found without its pointer, with a broken one, and with one that leads to nothing', async () => {
  const store = await table();
  await writeCheckpoint(store, TABLE, 1);
  store.objects.delete(commitPath(TABLE, 0));
  for (const pointer of [undefined, '', '{"version":', '{"version":99}', '{"version":0}']) {
    if (pointer === undefined) store.objects.delete(lastCheckpointPath(TABLE));
    else store.set(lastCheckpointPath(TABLE), Buffer.from(pointer));
    expect(await activeNames(store)).toEqual(['2.parquet', '3.parquet']);
  }
});

it('in parts is none until all of them are there; named by a UUID, it leads to its sidecars', async () => {
  const store = await table();
  await writeCheckpoint(store, TABLE, 1);
  const bytes = store.objects.get(checkpointPath(TABLE, 1))!.bytes;
  store.objects.delete(checkpointPath(TABLE, 1));
  store.set(logPath(TABLE, `${padded(1)}.checkpoint.0000000001.0000000002.parquet`), bytes);
  expect(await activeNames(store)).toEqual(['2.parquet', '3.parquet']);
  store.objects.delete(commitPath(TABLE, 0));
  await expect(readSnapshot(store, TABLE)).rejects.toMatchObject({ code: 'TargetChanged' });
  const { protocol, metadata } = (await readSnapshot(await table(), TABLE))!;
  const lines = [
    { checkpointMetadata: { version: 1 } },
    { protocol },
    { metaData: metadata },
    { sidecar: { path: 'a%2Db.parquet', sizeInBytes: 1 } },
  ];
  const name = `${padded(1)}.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.json`;
  store.set(logPath(TABLE, name), Buffer.from(lines.map((line) => JSON.stringify(line)).join('\n')));
  store.set(logPath(TABLE, '_sidecars/a-b.parquet'), bytes);
  expect(await activeNames(store)).toEqual(['2.parquet', '3.parquet']);
});

it('the files that any version refers to are told from those that none does', async () => {
  const store = await table();
  await writeCheckpoint(store, TABLE, 1);
  store.objects.delete(commitPath(TABLE, 0));
  store.objects.delete(commitPath(TABLE, 1));
  await publish(store, 'b', [{ ...dataFile('ü 4.parquet'), partitionValues: { region: 'x' } }], {
    columns,
    partitionBy: ['region'],
  });
  foreignCommit(store, 3, [
    foreignAdd(`s3://lake/bronze/orders/_longhaul/run-0/5.parquet`),
    foreignAdd('part-1.parquet'),
  ]);
  const found = new Set<string>();
  for await (const path of referencedFiles(store, TABLE)) found.add(path.slice(TABLE.length));
  expect([...found].sort()).toEqual([
    ...['/_longhaul/run-0/5.parquet', '/_longhaul/run-1/1.parquet', '/_longhaul/run-1/2.parquet'],
    ...['/_longhaul/run-1/3.parquet', '/_longhaul/run-1/ü 4.parquet'],
  ]);
});

it('a hole in the log is an error, not a shorter table', async () => {
  const store = await table();
  foreignCommit(store, 3, [foreignAdd('late.parquet')]);
  await expect(readSnapshot(store, TABLE)).rejects.toMatchObject({
    message: expect.stringContaining('its commit 2 is missing') as string,
  });
});
