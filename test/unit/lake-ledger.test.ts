import { describe, expect, it } from 'vitest';
import { encodeName, LakeLedger, RunCache } from '../../src/connectors/lake/ledger/index.js';
import { copy, LakeWorld, newRun, newTable, partition } from '../support/lake-world.js';
import { LonghaulError } from '../../src/core/errors.js';
import type { Receipt, TableRecord } from '../../src/core/model.js';

const receipt = (ordinal: number): Receipt => ({
  ...{ ordinal, predicateHash: 'hash', state: 'committed', rows: 2, bytes: 3, attempt: 1 },
  ...{ startedAt: '2026-01-01T00:00:00.000Z', committedAt: '2026-01-01T00:00:01.000Z' },
});

async function opened(ledger: LakeLedger, partitions: number, to = 'shop.orders'): Promise<TableRecord> {
  const [record] = await ledger.openRun(newRun(), [newTable(to)]);
  const planned = Array.from({ length: partitions }, (_, ordinal) => partition(ordinal));
  await ledger.putPlan(record!, { partitions: planned, reason: 'many' });
  return record!;
}

async function commitAll(ledger: LakeLedger, record: TableRecord, partitions: number): Promise<void> {
  for (let ordinal = 0; ordinal < partitions; ordinal++) {
    const file = { path: `data/${ordinal}`, size: 3, rows: 2, statistics: {} };
    await ledger.commit(record, receipt(ordinal), [file]);
  }
}

describe('names in paths', () => {
  it('are themselves where they are plain', () => {
    for (const name of ['bronze.erp_orders', '0198c2d4-5e1f-7a00-8000-1234567890ab'])
      expect(encodeName(name)).toBe(name);
  });

  it('differ, whatever a file system takes for the same, and are short and plain', () => {
    const long = 'x'.repeat(500);
    const names = ['Orders', 'orders', 'ORDERS', 'ñ', 'n\u0303', '..', '.', '', 'a/b', 'a%2Fb', 'a\\b', long, `${long}y`, '\ud800', '\ud801']; // prettier-ignore
    const encoded = names.map(encodeName);
    expect(new Set(encoded.map((name) => name.toLowerCase())).size).toBe(names.length);
    for (const name of encoded) {
      expect(name).toMatch(/^[A-Za-z0-9._%~-]{1,120}$/);
      expect(['.', '..']).not.toContain(name);
    }
  });
});

describe('what is asked of the store', () => {
  it('is no query, where none is asked for, and each page of them otherwise', async () => {
    const world = new LakeWorld(1);
    const { ledger } = world.calm();
    const queries = Array.from({ length: 2_100 }, (_, id) => ({ id: `${id}`, sql: 'SELECT 1' }));
    const run = newRun();
    await ledger.openRun(run, [newTable('shop.orders', { queries })]);
    world.objects.resetCounts();
    expect((await ledger.table(run.run, 'source.shop.orders')).spec.queries).toEqual([]);
    // Whether the log goes on; the record.
    expect(world.objects.counts).toMatchObject({ get: 2, list: 0 });
    const { spec } = await ledger.table(run.run, 'source.shop.orders', { queries: true });
    expect(spec.queries).toEqual(queries);
    expect(world.objects.counts.get).toBe(2 + 2 + 5);
  });

  it('is for an attempt a few requests, however many partitions there are', async () => {
    const world = new LakeWorld(1);
    const { ledger } = world.calm();
    const record = await opened(ledger, 3_000);
    await commitAll(ledger, record, 100);
    world.objects.resetCounts();
    await ledger.partition(record.run, record.spec.table, 2_999);
    expect(world.objects.counts).toMatchObject({ get: 3, list: 0, put: 0 });
    await ledger.claim(record, partition(2_999));
    expect(world.objects.counts).toMatchObject({ get: 5, list: 0, put: 0 });
    await ledger.commit(record, receipt(2_999), []);
    expect(world.objects.counts).toMatchObject({ get: 6, list: 0, put: 1 });
  });

  it('is no receipt, for what is pending: their names say it', async () => {
    const world = new LakeWorld(1);
    const { ledger } = world.calm();
    const record = await opened(ledger, 1_500);
    await commitAll(ledger, record, 1_200);
    world.objects.resetCounts();
    expect(await ledger.pending(record.run, record.spec.table, 1_198, 1_203)).toEqual([1_200, 1_201, 1_202]);
    expect(world.objects.counts).toMatchObject({ get: 2, list: 1 });
  });

  it('is for sums each receipt once, where all of a block have theirs', async () => {
    const world = new LakeWorld(1);
    const { ledger } = world.calm();
    const record = await opened(ledger, 1_200);
    await commitAll(ledger, record, 1_100);
    const sums = { committed: 1_100, skipped: 0, rows: 2_200, bytes: 3_300 };
    const totals = () => ledger.totals(record.run, record.spec.table, 2);
    expect(await totals()).toEqual({ ...sums, missing: [1_100, 1_101] });
    world.objects.resetCounts();
    expect(await totals()).toEqual({ ...sums, missing: [1_100, 1_101] });
    // The log, the plan, two blocks, and the receipts of the third.
    expect(world.objects.counts).toMatchObject({ get: 4 + 100, put: 0 });
    await ledger.skip(record, { ordinal: 1_150, label: 'x', predicate: 'x' }, 1);
    expect(await totals()).toMatchObject({ committed: 1_100, skipped: 1 });
  });

  it('is at most 32 receipts at a time, and they come in order', async () => {
    const world = new LakeWorld(1);
    const record = await opened(world.calm().ledger, 300);
    await commitAll(world.calm().ledger, record, 300);
    world.objects.resetCounts();
    const ordinals: number[] = [];
    for await (const { ordinal, rows, files } of world.worker().ledger.committedFiles(record)) {
      expect([rows, files.length]).toEqual([2, 1]);
      ordinals.push(ordinal);
    }
    expect(ordinals).toEqual(Array.from({ length: 300 }, (_, ordinal) => ordinal));
    expect(world.objects.most).toBeGreaterThan(8);
    expect(world.objects.most).toBeLessThanOrEqual(33);
  });

  it('is for the newest runs not the log of any other', async () => {
    const world = new LakeWorld(1);
    const { ledger } = world.calm();
    for (let index = 0; index < 40; index++)
      await ledger.openRun({ ...newRun(), startedAt: new Date(index * 1_000).toISOString() }, [newTable(`t.${index}`)]);
    world.objects.resetCounts();
    const found = await ledger.runs({ limit: 2 });
    expect(found.map(({ startedAt }) => startedAt)).toEqual(['1970-01-01T00:00:39.000Z', '1970-01-01T00:00:38.000Z']);
    expect(world.objects.counts.get).toBeLessThan(20);
  });
});

describe('what may expire', () => {
  const over = { keepStaging: -1_000 };
  const expired = async (ledger: LakeLedger) => (await ledger.expire('none')).map(({ run }) => run);

  async function staged(world: LakeWorld, record: TableRecord): Promise<void> {
    await world.objects.store().putIfAbsent(`${record.staging}/0.json`, Buffer.from('[]'));
  }

  it('is looked for in runs that are not over, however many are', async () => {
    const world = new LakeWorld(1);
    const { ledger } = world.calm();
    for (let index = 0; index < 40; index++) {
      const record = await opened(ledger, 0, `t.${index}`);
      const { epoch } = await ledger.beginPublish(record);
      await ledger.published(record, epoch!);
    }
    const record = await opened(ledger, 1);
    expect(await expired(ledger)).toEqual([]);
    world.objects.resetCounts();
    expect(await expired(ledger)).toEqual([]);
    expect(world.objects.counts).toMatchObject({ list: 2, get: 1, delete: 0 });
    expect(await ledger.runs()).toHaveLength(41);
    await ledger.closeRun(record.run, 'suspended');
    expect((await ledger.runs({ run: record.run }))[0]!.sums).toMatchObject([{ state: 'suspended' }]);
  });

  it('is found as long as something of it is left', async () => {
    const world = new LakeWorld(1);
    const { ledger } = world.calm();
    const run = { ...newRun(), ...over };
    const [record] = await ledger.openRun(run, [newTable('shop.orders')]);
    await staged(world, record!);
    expect(await expired(ledger)).toEqual([]);
    await ledger.closeRun(run.run, 'suspended');
    for (let again = 0; again < 3; again++) expect(await expired(ledger)).toEqual([run.run]);
    await world.objects.store().delete([`${record!.staging}/0.json`]);
    expect(await expired(ledger)).toEqual([]);
    world.objects.resetCounts();
    expect(await expired(ledger)).toEqual([]);
    expect(world.objects.counts).toMatchObject({ list: 1, get: 0 });
  });

  it('is not forgotten of a run that is just being opened', async () => {
    const world = new LakeWorld(1);
    const { ledger } = world.calm();
    const run = { ...newRun(), ...over };
    let looked = 0;
    const opening = world.worker({
      async before(operation, path) {
        if (operation === 'put' && path.includes('/log/')) looked += (await expired(ledger)).length + 1;
      },
    });
    const [record] = await opening.ledger.openRun(run, [newTable('shop.orders')]);
    expect(looked).toBe(1);
    await staged(world, record!);
    await ledger.closeRun(run.run, 'suspended');
    expect(await expired(ledger)).toEqual([run.run]);
  });
});

describe('the log of a run', () => {
  it('is read from its last checkpoint on, and by who has read it from there on', async () => {
    const world = new LakeWorld(1);
    const { ledger } = world.calm();
    const run = newRun();
    for (let entry = 0; entry < 300; entry++) await ledger.openRun(run, [newTable('shop.orders')]);
    world.objects.resetCounts();
    const reader = world.calm();
    await reader.ledger.table(run.run, 'source.shop.orders');
    expect(world.objects.counts.get).toBe(1 + (299 - 256) + 1);
    world.objects.resetCounts();
    await reader.ledger.table(run.run, 'source.shop.orders');
    expect(world.objects.counts).toMatchObject({ get: 2, list: 0 });
  });

  it('is the same for a worker that has it in memory, whoever goes on with it', async () => {
    const world = new LakeWorld(1);
    const { ledger } = world.calm();
    const record = await opened(ledger, 1);
    const cached = world.calm().ledger;
    const state = async (of: LakeLedger) => (await of.table(record.run, record.spec.table)).state;
    expect(await state(cached)).toBe('open');
    await ledger.closeRun(record.run, 'suspended');
    expect(await state(cached)).toBe('suspended');
    for (let again = 0; again < 20; again++) {
      await ledger.openRun({ run: record.run, job: '' }, [newTable('shop.orders')], { resume: true });
      await ledger.closeRun(record.run, 'suspended');
    }
    expect(await state(cached)).toBe('suspended');
  });

  it('is not taken from memory where a run is opened: its ledger may have been removed', async () => {
    const world = new LakeWorld(1);
    const { ledger } = world.calm();
    const run = newRun();
    await ledger.openRun(run, [newTable('shop.orders')]);
    world.objects.objects.clear();
    const resumed = ledger.openRun(run, [newTable('shop.orders')], { resume: true });
    await expect(resumed).rejects.toThrow('knows no run');
  });

  it('says which object is gone when one was removed', async () => {
    const world = new LakeWorld(1);
    const { ledger } = world.calm();
    const record = await opened(ledger, 1);
    await ledger.closeRun(record.run, 'suspended');
    world.objects.objects.delete(`_longhaul/runs/${record.run}/log/0000000000.json`);
    await expect(world.calm().ledger.tables(record.run)).rejects.toThrow('log/0000000000.json is gone');
  });

  it('has later times than before, whatever the clocks say', async () => {
    const world = new LakeWorld(1);
    const { ledger } = world.calm();
    const run = newRun();
    const changed = new Set<string>();
    for (let entry = 0; entry < 5; entry++) {
      await ledger.openRun(run, [newTable('shop.orders')]);
      changed.add((await ledger.runs({ run: run.run }))[0]!.tables[0]!.changedAt);
    }
    expect(changed.size).toBe(5);
  });

  it('is dropped from memory when others are more recent', () => {
    const cache = new RunCache();
    for (let run = 0; run < 100; run++) cache.put(`${run}`, { next: 1 });
    expect(cache.get('0')).toBeUndefined();
    expect(cache.get('99')).toEqual({ next: 1 });
    cache.put('99', { next: 0 });
    expect(cache.get('99')).toEqual({ next: 1 });
  });
});

describe('a receipt', () => {
  it('that comes after its run was closed is found by a resume', async () => {
    const world = new LakeWorld(1);
    const { ledger, lake } = world.calm();
    const record = await opened(ledger, 2);
    let closed = false;
    const worker = world.worker({
      async before(operation, path) {
        if (closed || operation !== 'put' || !path.includes('/receipts/')) return;
        closed = await ledger.closeRun(record.run, 'suspended');
      },
    });
    await copy(worker.session, record, 0);
    expect((await ledger.table(record.run, record.spec.table)).state).toBe('suspended');
    const [resumed] = await ledger.openRun({ run: record.run, job: '' }, [newTable('shop.orders')], { resume: true });
    expect(await ledger.pending(record.run, record.spec.table, 0, 2)).toEqual([1]);
    const { session } = world.worker();
    await copy(session, resumed!, 0, 7);
    await copy(session, resumed!, 1);
    await session.publish(resumed!);
    expect(await lake.visible('shop.orders')).toEqual([0, 1]);
  });

  it('is answered with when it stands, also to who asks again', async () => {
    const world = new LakeWorld(1);
    const { ledger } = world.calm();
    const record = await opened(ledger, 1);
    const [mine, other] = [receipt(0), { ...receipt(0), attempt: 2 }];
    expect(await ledger.commit(record, mine, [])).toBe(mine);
    expect(await ledger.commit(record, other, [])).toEqual(mine);
    await ledger.closeRun(record.run, 'suspended');
    expect(await ledger.commit(record, mine, [])).toEqual(mine);
  });
});

describe('closing a run', () => {
  it('is not kept from the other tables by one whose target does not tell, and says why that one is left', async () => {
    const world = new LakeWorld(1);
    const { ledger, targets } = world.calm();
    const run = newRun();
    const broken = new LakeLedger({
      ...{ name: 'lake', store: world.objects.store(), cache: new RunCache() },
      targets: {
        settle: (record, epoch) =>
          record.spec.to === 'bad'
            ? Promise.reject(new LonghaulError('TargetChanged', 'its log is broken'))
            : targets.settle(record, epoch),
      },
      stagingName: ({ to }) => to,
      stagingOf: () => Promise.resolve(undefined),
    });
    const records = await ledger.openRun(
      run,
      ['good', 'bad', 'idle'].map((to) => newTable(to)),
    );
    for (const record of records.slice(0, 2)) {
      await ledger.putPlan(record, { partitions: [], reason: 'none' });
      await ledger.beginPublish(record);
    }
    await expect(broken.closeRun(run.run, 'suspended')).rejects.toThrow('its log is broken');
    const states = (await ledger.tables(run.run)).map(({ spec, state }) => [spec.to, state]);
    expect(states).toEqual([
      ['good', 'suspended'],
      ['bad', 'publishing'],
      ['idle', 'suspended'],
    ]);
    expect(await ledger.closeRun(run.run, 'suspended')).toBe(true);
    expect((await ledger.tables(run.run)).map(({ state }) => state)).toEqual(Array(3).fill('suspended'));
  });
});

describe('differences', () => {
  it('are all that is known of a range: those of before are gone', async () => {
    const world = new LakeWorld(1);
    const { ledger } = world.calm();
    const record = await opened(ledger, 10);
    const { run, spec } = record;
    const differ = (ordinal: number, key: string) => ({ ordinal, key, difference: 'differs' as const });
    await ledger.putDifferences(run, spec.table, 0, 5, [differ(1, 'a'), differ(1, 'b'), differ(2, 'c')]);
    await ledger.putDifferences(run, spec.table, 5, 9, [differ(7, 'd')]);
    await ledger.putDifferences(run, spec.table, 0, 5, [differ(1, 'e')]);
    const kept = world.objects.paths('_longhaul/').filter((path) => path.includes('/differences/'));
    const keys = kept.map((path) => Buffer.from(world.objects.objects.get(path)!.bytes).toString());
    expect(keys.map((text) => (JSON.parse(text) as { key: string }[]).map(({ key }) => key))).toEqual([['e'], ['d']]);
  });
});
