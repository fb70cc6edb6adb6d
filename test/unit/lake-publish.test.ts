import { describe, expect, it } from 'vitest';
import { LonghaulError } from '../../src/core/errors.js';
import { CountedFiles, smallFiles } from '../../src/connectors/lake/destination/small-files.js';
import type { LakeLedger } from '../../src/connectors/lake/ledger/index.js';
import type { TableRecord } from '../../src/core/model.js';
import { readLakeFiles } from '../support/lake-tables.js';
import { newRun, newTable } from '../support/lake-world.js';
import { MemoryLake, meter } from '../support/memory-lake.js';

const TYPES = ['delta', 'parquet'] as const;

const died = () => new LonghaulError('ConnectionFailed', 'It died.');

const stateOf = async (ledger: LakeLedger, { run, spec }: TableRecord) => (await ledger.table(run, spec.table)).state;

describe.each(TYPES)('an epoch that was closed, of a %s table', (type) => {
  const visible = (lake: MemoryLake, to: string) => readLakeFiles(lake.store(), type, to);

  it('is followed by the next, where whoever closed it left the run alone after all', async () => {
    const lake = new MemoryLake(type);
    const [slow, quick] = await lake.ready(['s.slow', 's.quick']);
    const { ledger } = lake.session();
    await ledger.beginPublish(slow!);
    // It is visible, and nobody has said so in the run's log.
    let entries = 0;
    const dying = lake.session({
      before(operation, path) {
        if (operation === 'put' && path.includes('/log/') && ++entries === 2) throw died();
      },
    });
    await expect(dying.publish(quick!, meter())).rejects.toThrow('It died.');
    const [run] = await ledger.runs({ run: slow!.run });
    const [unchangedSince] = run!.sums.map(({ changedAt }) => changedAt);
    let lost = false;
    const closer = lake.session({
      async before(operation, path) {
        if (lost || operation !== 'put' || !path.includes('/log/')) return;
        lost = true;
        await lake.session().publish(quick!, meter());
      },
    });
    expect(await closer.ledger.closeRun(slow!.run, 'discarded', { unchangedSince: unchangedSince! })).toBe(false);
    expect(lost).toBe(true);
    expect(await stateOf(ledger, slow!)).toBe('publishing');
    await lake.session().publish(slow!, meter());
    expect(await stateOf(ledger, slow!)).toBe('published');
    expect(await visible(lake, 's.slow')).toEqual([`${slow!.staging}0.parquet`]);
  });

  it('leaves nothing to whoever had it, also when it wakes up after the next was published', async () => {
    const lake = new MemoryLake(type);
    const [record] = await lake.ready(['s.a'], 'append');
    const log = type === 'delta' ? '/_delta_log/' : '/versions/';
    let open = () => {};
    const opened = new Promise<void>((resolve) => (open = resolve));
    let arrive = () => {};
    const arrived = new Promise<void>((resolve) => (arrive = resolve));
    const zombie = lake.session({
      async before(operation, path) {
        if (operation !== 'put' || !path.includes(log)) return;
        arrive();
        await opened;
      },
    });
    const sleeping = zombie.publish(record!, meter());
    await arrived;
    const { ledger } = lake.session();
    // Closed, and whoever did it has died.
    const dying = lake.session({
      before(operation, path) {
        if (operation === 'put' && path.includes('/log/')) throw died();
      },
    });
    await expect(dying.ledger.closeRun(record!.run, 'suspended')).rejects.toThrow('It died.');
    await lake.session().publish(record!, meter());
    open();
    await sleeping;
    expect(await stateOf(ledger, record!)).toBe('published');
    expect(await visible(lake, 's.a')).toEqual([`${record!.staging}0.parquet`]);
  });
});

describe('what a Parquet table that was published often asks of the store', () => {
  it('is the same for its hundredth publish as for its fifth', async () => {
    const lake = new MemoryLake('parquet');
    const gets: number[] = [];
    for (let publish = 1; publish <= 100; publish++) {
      const [record] = await lake.ready(['s.a']);
      const session = lake.session();
      lake.objects.resetCounts();
      await session.publish(record!, meter());
      await session.discard(record!);
      gets.push(lake.objects.counts.get);
    }
    expect(gets.at(-1)).toBe(gets[4]);
  });

  it('is bounded for an append too', async () => {
    const lake = new MemoryLake('parquet');
    const files: string[] = [];
    let most = 0;
    for (let publish = 1; publish <= 200; publish++) {
      const [record] = await lake.ready(['s.a'], 'append');
      files.push(`${record!.staging}0.parquet`);
      lake.objects.resetCounts();
      await lake.session().publish(record!, meter());
      most = Math.max(most, lake.objects.counts.get);
    }
    expect(most).toBeLessThan(160);
    expect(await readLakeFiles(lake.store(), 'parquet', 's.a')).toEqual(files);
  });

  it('finds a publish whose answer was lost, however many came after it', async () => {
    const lake = new MemoryLake('parquet');
    const [record] = await lake.ready(['s.a'], 'append');
    let lost = false;
    const loser = lake.session({
      after(operation, path) {
        if (lost || operation !== 'put' || !path.includes('/versions/')) return;
        lost = true;
        throw new LonghaulError('ConnectionFailed', 'The answer was lost.');
      },
    });
    await expect(loser.publish(record!, meter())).rejects.toThrow('The answer was lost.');
    for (let other = 0; other < 70; other++) await lake.published('s.a', 'append');
    await lake.session().publish(record!, meter());
    const files = (await readLakeFiles(lake.store(), 'parquet', 's.a'))!;
    expect(files).toHaveLength(71);
    expect(files[0]).toBe(`${record!.staging}0.parquet`);
    expect(new Set(files).size).toBe(71);
  });
});

describe('what a publish says of the files', () => {
  it.each(TYPES)('is that they are small, where there are many (%s)', async (type) => {
    const lake = new MemoryLake(type);
    for (const [files, said] of [
      [500, /500 files of 1 kB on average.*larger partitions/],
      [499, undefined],
    ] as const) {
      const [record] = await lake.ready(['s.a'], 'replace', newRun(), files);
      const { warning } = await lake.session().publish(record!, meter());
      if (said) expect(warning).toMatch(said);
      else expect(warning).toBeUndefined();
    }
  });

  it('is nothing where they are large, and names partitionBy where it is its matter', () => {
    const { spec } = newTable('s.a');
    const counted = Object.assign(new CountedFiles(), { files: 1_000, bytes: 1_000 * (1 << 20) });
    expect(smallFiles(counted, { spec })).toBeUndefined();
    counted.bytes -= 1;
    expect(smallFiles(counted, { spec: { ...spec, partitionBy: ['day'] } })).toBe(
      'it was written as 1,000 files of 1024 kB on average, each of which a reader opens; cut the copy by what partitionBy keeps apart (partition: {by: ...}), make larger partitions, or partition by a column of fewer values',
    );
  });
});
