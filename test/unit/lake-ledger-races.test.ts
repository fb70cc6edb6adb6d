import { describe, expect, it } from 'vitest';
import { LonghaulError } from '../../src/core/errors.js';
import type { TableRecord } from '../../src/core/model.js';
import type { LakeLedger } from '../../src/connectors/lake/ledger/index.js';
import { copy, LakeWorld, newRun, newTable, partition } from '../support/lake-world.js';
import type { Faults } from '../support/memory-store.js';

/** Several workers on one lake, in as many orders as there are seeds; a failure names its own. */
const SEEDS = Array.from({ length: 40 }, (_, seed) => seed);
const PARTITIONS = [0, 1, 2];

const codeOf = (error: unknown): unknown => (error instanceof LonghaulError ? error.code : error);

/** The code that it is rejected with; undefined: it was not. */
async function refusal(done: Promise<unknown>): Promise<unknown> {
  return done.then(() => undefined, codeOf);
}

/** Again and again, as Temporal does, until it is done or refused for good. */
async function retried<T>(act: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await act();
    } catch (error) {
      if (codeOf(error) !== 'ConnectionFailed' || attempt === 200) throw error;
    }
  }
}

/** A gate for requests: they wait at it until it is opened. */
function gate(): { reached: Promise<void>; wait(): Promise<void>; open(): void } {
  let [arrive, open] = [() => {}, () => {}];
  const reached = new Promise<void>((resolve) => (arrive = resolve));
  const opened = new Promise<void>((resolve) => (open = resolve));
  const wait = () => {
    arrive();
    return opened;
  };
  return { reached, wait, open };
}

/** A run that is open, planned, with no receipt. */
async function begun(ledger: LakeLedger, run = newRun(), given = {}): Promise<TableRecord> {
  const [record] = await ledger.openRun(run, [newTable('shop.orders', given)]);
  await ledger.putPlan(record!, { partitions: PARTITIONS.map(partition), reason: 'three' });
  return record!;
}

describe('runs that open at the same time', () => {
  it.each(SEEDS)('onto one target: one is opened, whatever else they want (seed %i)', async (seed) => {
    const world = new LakeWorld(seed);
    const runs = Array.from({ length: 4 }, () => newRun());
    const opened = runs.map((run) => {
      const targets = world.shuffled(['a.shared', 'b.shared', 'c.shared']);
      return refusal(world.worker().ledger.openRun(run, targets.map((to) => newTable(to)))); // prettier-ignore
    });
    const codes = await Promise.all(opened);
    expect(codes.filter((code) => code === undefined)).toHaveLength(1);
    expect(codes.filter((code) => code === 'TargetLeased')).toHaveLength(3);
    const { ledger } = world.calm();
    for (const [index, { run }] of runs.entries()) {
      expect(await ledger.tables(run)).toHaveLength(codes[index] === undefined ? 3 : 0);
    }
  });

  it.each(SEEDS)('onto some of several: each is refused for one that was opened (seed %i)', async (seed) => {
    const world = new LakeWorld(seed);
    const all = ['t.1', 't.2', 't.3', 't.4', 't.5'];
    const wanting = Array.from({ length: 5 }, () => ({ run: newRun(), targets: world.shuffled(all).slice(0, 2) }));
    const codes = await Promise.all(
      wanting.map(({ run, targets }) => {
        return refusal(world.worker().ledger.openRun(run, targets.map((to) => newTable(to)))); // prettier-ignore
      }),
    );
    const held = wanting.flatMap(({ targets }, index) => (codes[index] === undefined ? targets : []));
    expect(new Set(held).size).toBe(held.length);
    for (const [index, { targets }] of wanting.entries()) {
      if (codes[index] === undefined) continue;
      expect(codes[index]).toBe('TargetLeased');
      expect(targets.some((to) => held.includes(to))).toBe(true);
    }
  });

  it.each(SEEDS.slice(0, 10))('as one run, several times: it is opened once (seed %i)', async (seed) => {
    const world = new LakeWorld(seed);
    const run = newRun();
    const open = () => world.worker().ledger.openRun(run, [newTable('a.b'), newTable('c.d')]);
    const opened = await Promise.all([open(), open(), open()]);
    expect(opened[1]).toEqual(opened[0]);
    expect(opened[2]).toEqual(opened[0]);
    expect(await world.calm().ledger.runs()).toHaveLength(1);
    // What the losers had written is gone again.
    const records = world.objects.paths('_longhaul/runs/').filter((path) => path.includes('/opened/'));
    expect(records).toHaveLength(2);
  });

  it.each(SEEDS.slice(0, 20))('resumed by one, taken by another: the target has one holder (seed %i)', async (seed) => {
    const world = new LakeWorld(seed);
    const [first, second] = [newRun(), newRun()];
    const { ledger } = world.calm();
    await ledger.openRun(first, [newTable('a.b')]);
    await ledger.closeRun(first.run, 'suspended');
    const codes = await Promise.all([
      refusal(world.worker().ledger.openRun(first, [newTable('a.b')], { resume: true })),
      refusal(world.worker().ledger.openRun(second, [newTable('a.b')])),
    ]);
    expect(codes.toSorted()).toEqual(['TargetLeased', undefined]);
  });
});

describe('a worker that stops between its claims and its entry in the log', () => {
  /** The names decide who waits for whom, and who is begun anew at once. */
  it.each([
    ['is waited for, and then has to begin anew', 'a', 'b'],
    ['has to begin anew at once where the other comes first', 'b', 'a'],
  ])('%s: it finds its target taken', async (_, sleeping, taking) => {
    const world = new LakeWorld(1);
    const [sleeper, taker] = [newRun(sleeping), newRun(taking)];
    const stopped = gate();
    const before: Faults['before'] = (operation, path) => {
      const ownEntry = path.includes(`${sleeper.run}/log/`) && operation === 'put';
      return ownEntry ? stopped.wait() : undefined;
    };
    const asleep = refusal(world.worker({ before }).ledger.openRun(sleeper, [newTable('a.b')]));
    await stopped.reached;
    const { ledger } = world.calm(50);
    await ledger.openRun(taker, [newTable('a.b')]);
    stopped.open();
    expect(await asleep).toBe('TargetLeased');
    expect(await ledger.tables(sleeper.run)).toEqual([]);
    expect(await ledger.usesOf({ name: 'other' }, [{ to: 'a.b', mode: 'replace' }])).toMatchObject([
      { use: 'held', run: taker.run },
    ]);
    // It is no worse off than any other run: the target is its own when it is free.
    await ledger.closeRun(taker.run, 'discarded');
    expect(await ledger.openRun(sleeper, [newTable('a.b')])).toMatchObject([{ state: 'open' }]);
  });
});

describe('publishing and closing at the same time', () => {
  it.each(SEEDS)('ends as published and visible, or as neither, and never twice (seed %i)', async (seed) => {
    const world = new LakeWorld(seed);
    const { ledger, lake, targets } = world.calm();
    const run = newRun();
    const record = await begun(ledger, run, { mode: 'append' });
    const publish = async () => {
      const { session } = world.worker();
      for (const ordinal of PARTITIONS) await retried(() => copy(session, record, ordinal));
      await session.publish(record);
    };
    const close = async () => {
      await world.giveWay(120);
      await world.worker().ledger.closeRun(run.run, seed % 2 === 0 ? 'suspended' : 'discarded');
    };
    const resume = async () => {
      await world.giveWay(200);
      await world.worker().ledger.openRun(run, [newTable('shop.orders', { mode: 'append' })], { resume: true });
      await publish();
    };
    const codes = await Promise.all([publish(), publish(), close(), resume()].map(refusal));
    expect([undefined, 'RunClosed', 'ResumeRefused']).toEqual(expect.arrayContaining(codes));
    const { state } = await ledger.table(run.run, record.spec.table);
    const apps = await targets.apps(record.spec.to);
    expect(state === 'publishing').toBe(false);
    expect(apps).toHaveLength(state === 'published' ? 1 : 0);
    expect(await lake.visible(record.spec.to)).toEqual(state === 'published' ? PARTITIONS : undefined);
  });

  it.each(SEEDS.slice(0, 5))('gets on for each of many tables of one run (seed %i)', async (seed) => {
    const world = new LakeWorld(seed);
    const { ledger, lake } = world.calm();
    const targets = Array.from({ length: 30 }, (_, index) => `many.${index}`);
    const records = await ledger.openRun(newRun(), targets.map((to) => newTable(to))); // prettier-ignore
    const publish = async (record: TableRecord) => {
      const worker = world.worker();
      await worker.ledger.putPlan(record, { partitions: [partition(0)], reason: 'one' });
      await copy(worker.session, record, 0);
      await worker.session.publish(record);
    };
    await Promise.all(records.map(publish));
    for (const to of targets) expect(await lake.visible(to)).toEqual([0]);
    const [run] = await ledger.runs();
    expect(run!.sums).toMatchObject([{ state: 'published', tables: 30, rows: 30 }]);
  });

  /** Stops a publisher where it would put this object. */
  async function stoppedPublisher(stopsAt: (path: string) => boolean) {
    const world = new LakeWorld(1);
    const calm = world.calm();
    const record = await begun(calm.ledger);
    const stopped = gate();
    const before: Faults['before'] = (operation, path) =>
      operation === 'put' && stopsAt(path) ? stopped.wait() : undefined;
    const { session } = world.worker({ before });
    for (const ordinal of PARTITIONS) await copy(session, record, ordinal);
    const publishing = refusal(session.publish(record));
    await stopped.reached;
    return { ...calm, record, publishing, release: () => stopped.open() };
  }

  it('a publisher that stops before its commit can not make it any more', async () => {
    const { ledger, lake, record, publishing, release } = await stoppedPublisher((path) => path.includes('/_log/'));
    expect((await ledger.table(record.run, record.spec.table)).state).toBe('publishing');
    expect(await ledger.closeRun(record.run, 'suspended')).toBe(true);
    release();
    expect(await publishing).toBe('RunClosed');
    expect(await lake.visible(record.spec.to)).toBeUndefined();
    expect((await ledger.table(record.run, record.spec.table)).state).toBe('suspended');
  });

  it.each([
    ['closes it', (ledger: LakeLedger, { run }: TableRecord) => ledger.closeRun(run, 'discarded')],
    [
      'resumes it',
      (ledger: LakeLedger, { run }: TableRecord) => ledger.openRun({ run, job: '' }, [newTable('shop.orders')]),
    ],
  ] as const)('a table whose publisher stops behind its commit is published, whoever %s', async (_, act) => {
    let committed = false;
    const stopped = await stoppedPublisher(
      (path) => (committed ||= path.includes('/_log/')) && !path.includes('/_log/'),
    );
    const { ledger, lake, record, publishing, release } = stopped;
    await act(ledger, record);
    expect((await ledger.table(record.run, record.spec.table)).state).toBe('published');
    release();
    expect(await publishing).toBeUndefined();
    expect(await lake.visible(record.spec.to)).toEqual(PARTITIONS);
  });

  it('a publisher that is resumed publishes under an epoch of its own', async () => {
    const { ledger, lake, record, publishing, release } = await stoppedPublisher((path) => path.includes('/_log/'));
    const { epoch } = await ledger.beginPublish(record);
    const run = { run: record.run, job: 'job' };
    await ledger.openRun(run, [newTable('shop.orders')], { resume: true });
    const again = await ledger.beginPublish(record);
    expect(again.epoch).toBeGreaterThan(epoch!);
    release();
    expect(await publishing).toBe('RunClosed');
    expect(await lake.visible(record.spec.to)).toBeUndefined();
    expect(await refusal(ledger.published(record, epoch!))).toBe('RunClosed');
  });
});

describe('starting over and committing at the same time', () => {
  it.each(SEEDS)('publishes what was read under the second snapshot alone (seed %i)', async (seed) => {
    const world = new LakeWorld(seed);
    const { ledger, lake } = world.calm();
    const first = await begun(ledger, newRun(), { consistency: 'snapshot' });
    const zombie = async (ordinal: number) => copy(world.worker().session, first, ordinal, 100 + ordinal);
    const second = async () => {
      await world.giveWay(30);
      const worker = world.worker();
      const [record] = await worker.ledger.startOver({ run: first.run, snapshot: 1 });
      await worker.ledger.putPlan(record!, { partitions: PARTITIONS.map(partition), reason: 'three' });
      for (const ordinal of PARTITIONS) await copy(worker.session, record!, ordinal);
      await worker.session.publish(record!);
    };
    const codes = await Promise.all([...PARTITIONS.map(zombie), second()].map(refusal));
    expect(codes.at(-1)).toBeUndefined();
    expect([undefined, 'RunClosed']).toEqual(expect.arrayContaining(codes));
    expect(await lake.visible(first.spec.to)).toEqual(PARTITIONS);
    expect(await refusal(copy(world.worker().session, first, 0, 100))).toBe('RunClosed');
  });
});

describe('requests that fail, before and after they took effect', () => {
  it.each(SEEDS.slice(0, 20))('are repeated, and everything is there once (seed %i)', async (seed) => {
    const world = new LakeWorld(seed, {
      before: () => fail(0.03),
      after: () => fail(0.03),
    });
    const fail = (probability: number): void => {
      if (world.random.chance(probability)) throw new LonghaulError('ConnectionFailed', 'The answer was lost.');
    };
    const work = async () => {
      const run = newRun();
      const table = newTable('shop.orders', { mode: 'append' });
      const record = await retried(async () => (await world.worker().ledger.openRun(run, [table]))[0]!);
      const plan = { partitions: PARTITIONS.map(partition), reason: 'three' };
      await retried(() => world.worker().ledger.putPlan(record, plan));
      const copies = PARTITIONS.map((ordinal) => retried(() => copy(world.worker().session, record, ordinal)));
      await Promise.all(copies);
      const totals = await retried(() => world.worker().session.publish(record));
      expect(totals).toMatchObject({ committed: 3, rows: 3, missing: [] });
    };
    await Promise.all([work(), work()]);
    const { ledger, lake } = world.calm();
    expect(await lake.visible('shop.orders')).toEqual([0, 0, 1, 1, 2, 2]);
    const runs = await ledger.runs();
    expect(runs).toHaveLength(2);
    for (const { tables } of runs) expect(tables).toMatchObject([{ state: 'published', committed: 3, rows: 3 }]);
  });
});
