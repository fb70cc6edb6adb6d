import { afterAll, beforeAll, expect, test } from 'vitest';
import { jobProgress, retry, skip, tableProgress } from '../../workflows/messages.js';
import { FakeActivities, failureOf, Gate, rowsOf, type FakeJob } from '../support/fake-activities.js';
import { until, WorkflowTests, type JobHandle } from '../support/workflows.js';

let tests: WorkflowTests;
beforeAll(async () => {
  tests = await WorkflowTests.start();
});
afterAll(() => tests.stop());

/** Runs a faked job that waits for parked partitions, until the body returns. */
async function during(job: FakeJob, body: (handle: JobHandle, fake: FakeActivities) => Promise<void>) {
  const fake = new FakeActivities({ onFailure: 'wait', ...job });
  await tests.during(fake.activities, async (queue) => body(await tests.startJob(queue), fake));
  return fake;
}

const waits = (handle: JobHandle) => async (): Promise<boolean> =>
  (await handle.query(jobProgress)).phase === 'waiting on parked';

/** Refuses partitions of these numbers, as often as they are tried. */
const refusing =
  (...ordinals: readonly number[]) =>
  (ordinal: number) => {
    if (ordinals.includes(ordinal)) throw failureOf('DataRejected', 'a value was refused');
    return undefined;
  };

const sum = (partitions: number, ...without: readonly number[]): number =>
  Array.from({ length: partitions }, (_, n) => (without.includes(n) ? 0 : rowsOf(n))).reduce((a, b) => a + b, 0);

test('parked partitions are skipped one by one, on an update; the job is then complete with skips', async () => {
  const tables = [
    { table: 'a', partitions: 6, copy: refusing(3, 5) },
    { table: 'b', partitions: 3 },
  ];
  const fake = await during({ tables }, async (handle) => {
    await until(waits(handle));
    for (const request of [['a'], ['b'], ['x/1'], ['a/1'], ['a/4', 'a/1'], [4], []])
      await expect(handle.executeUpdate(skip, { args: [{ partitions: request as string[] }] })).rejects.toThrow();
    await expect(handle.executeUpdate(skip, { args: [{} as never] })).rejects.toMatchObject({
      cause: { message: expect.stringContaining('Write {"partitions"') as string },
    });
    expect(await handle.executeUpdate(skip, { args: [{ partitions: ['a/4'] }] })).toEqual({ skipped: 1 });
    const oneLeft = async (): Promise<boolean> => {
      const { phase, tables: shown } = await handle.query(jobProgress);
      return phase === 'waiting on parked' && shown[0]!.parked.length === 1 && shown[0]!.skipped === 1;
    };
    await until(oneLeft);
    expect(await handle.executeUpdate(skip, { args: [{ partitions: ['a/6/6'] }] })).toEqual({ skipped: 1 });
    const report = await handle.result();
    expect(report).toMatchObject({ phase: 'complete with skips', rows: sum(6, 3, 5) + sum(3) });
    expect(report.tables[0]).toMatchObject({ phase: 'published', committed: 4, skipped: 2, partitions: 6, parked: [] });
  });
  expect([...fake.skipped.get('a')!]).toEqual([3, 5]);
  expect(fake.callsOf('a')).toEqual([1, 1, 1, 1, 1, 1]);
});

test('while other partitions are copied one may be skipped; the rest is copied and published without waiting', async () => {
  const gate = new Gate();
  const refuse = refusing(0);
  const copy = async (ordinal: number) => (ordinal === 0 ? refuse(0) : (await gate.pass(), undefined));
  await during({ tables: [{ table: 'a', partitions: 8, copy }] }, async (handle, fake) => {
    await until(async () => (await handle.query(jobProgress)).tables[0]?.parked.length === 1);
    await handle.executeUpdate(skip, { args: [{ partitions: ['a/1'] }] });
    await until(() => gate.waiting > 0);
    gate.one();
    await until(() => fake.skipped.get('a')!.size === 1);
    gate.open();
    expect(await handle.result()).toMatchObject({ phase: 'complete with skips', rows: sum(8, 0) });
  });
});

test('what the ledger calls committed is counted as committed, though somebody wanted it skipped', async () => {
  const tables = [
    {
      table: 'a',
      partitions: 3,
      copy: (ordinal: number) => {
        if (ordinal !== 1) return undefined;
        // As after an answer that was lost, of an attempt that was taken for dead.
        ledger.current!.receipts.get('a')!.set(1, rowsOf(1));
        throw failureOf('DataRejected', 'the answer was lost');
      },
    },
  ];
  const ledger: { current?: FakeActivities } = {};
  await during({ tables }, async (handle, fake) => {
    ledger.current = fake;
    await until(waits(handle));
    await handle.executeUpdate(skip, { args: [{ partitions: ['a/2'] }] });
    const report = await handle.result();
    expect(report).toMatchObject({ phase: 'complete', rows: sum(3) });
    expect(report.tables[0]).toMatchObject({ committed: 3, skipped: 0 });
  });
});

test('an attempt that finds the receipt of a skip says so, and is not counted as a commit', async () => {
  const tables = [
    {
      table: 'a',
      partitions: 3,
      copy: (ordinal: number) => {
        if (ordinal !== 1) return undefined;
        ledger.current!.skipped.get('a')!.add(1);
        return { outcome: 'skipped' as const };
      },
    },
  ];
  const ledger: { current?: FakeActivities } = {};
  await during({ tables }, async (handle, fake) => {
    ledger.current = fake;
    expect(await handle.result()).toMatchObject({ phase: 'complete with skips', rows: sum(3, 1) });
  });
});

test('a skip whose worker goes, or whose connection is away, is made all the same; one that fails parks again', async () => {
  const skipping = (ordinal: number, call: number) => {
    if (ordinal === 0 && call === 1) return { outcome: 'handedBack' as const };
    if (ordinal === 0 && call < 4) throw failureOf('ConnectionFailed', 'nobody answers at warehouse');
    if (ordinal === 1 && call === 1) throw failureOf('DataRejected', 'not yet');
    return undefined;
  };
  const tables = [{ table: 'a', partitions: 4, copy: refusing(0, 1), skip: skipping }];
  const fake = await during({ tables }, async (handle) => {
    await until(waits(handle));
    await handle.executeUpdate(skip, { args: [{ partitions: ['a/1', 'a/2'] }] });
    const parkedAgain = async (): Promise<boolean> => {
      const [table] = (await handle.query(jobProgress)).tables;
      return table!.phase === 'waiting on parked' && table!.parked.length === 1 && table!.skipped === 1;
    };
    await until(parkedAgain);
    const [parked] = (await handle.query(jobProgress)).tables[0]!.parked;
    expect(parked).toMatchObject({ label: '2/4', error: 'not yet' });
    await handle.executeUpdate(skip, { args: [{ partitions: ['a/2'] }] });
    expect(await handle.result()).toMatchObject({ phase: 'complete with skips', rows: sum(4, 0, 1) });
  });
  expect([fake.calls.get('a 0 skip'), fake.calls.get('a 1 skip')]).toEqual([4, 2]);
  expect(fake.callsOf('a')).toEqual([1, 1, 1, 1]);
});

test('a partition that was to be skipped and parked again is copied by a retry', async () => {
  let broken = true;
  const copy = (ordinal: number) => (broken ? refusing(1)(ordinal) : undefined);
  const skipping = () => Promise.reject(failureOf('DataRejected', 'not skipped'));
  await during({ tables: [{ table: 'a', partitions: 3, copy, skip: skipping }] }, async (handle) => {
    await until(waits(handle));
    await handle.executeUpdate(skip, { args: [{ partitions: ['a/2'] }] });
    await until(async () => (await handle.query(jobProgress)).tables[0]?.parked[0]?.error === 'not skipped');
    broken = false;
    await handle.executeUpdate(retry, { args: [{}] });
    expect(await handle.result()).toMatchObject({ phase: 'complete', rows: sum(3) });
  });
});

test('a skip that was asked for while the table was about to continue as new is made by the next execution', async () => {
  const gate = new Gate();
  const copy = async (ordinal: number) => (ordinal === 0 ? refusing(0)(0) : (await gate.pass(), undefined));
  const fake = new FakeActivities({ tables: [{ table: 't', partitions: 12, copy }] });
  await tests.during(fake.activities, async (queue) => {
    const handle = await tests.startTable(queue, { table: 't', onFailure: 'wait', continueAfter: 5 });
    // The first is parked, and four are what this execution may still begin.
    await until(() => gate.waiting === 4);
    const parked = async () => (await handle.query(tableProgress)).parked.length;
    await until(async () => (await parked()) === 1);
    await handle.signal('skipParked', ['1']);
    await until(async () => (await parked()) === 0);
    expect(fake.skipped.get('t')!.size).toBe(0);
    gate.open();
    expect(await handle.result()).toMatchObject({ committed: 11, skipped: 1, rows: sum(12, 0) });
  });
  expect(fake.callsOf('t')).toEqual(Array.from({ length: 12 }, () => 1));
});

test('a resumed table knows what was skipped before', async () => {
  const fake = new FakeActivities({ tables: [{ table: 't', partitions: 5, committed: [0, 1], copy: refusing(4) }] });
  fake.skipped.get('t')!.add(2);
  await tests.during(fake.activities, async (queue) => {
    const handle = await tests.startTable(queue, { table: 't', onFailure: 'wait' });
    await until(async () => (await handle.query(tableProgress)).phase === 'waiting on parked');
    expect(await handle.query(tableProgress)).toMatchObject({ committed: 3, skipped: 1 });
    await handle.signal('skipParked', ['5']);
    expect(await handle.result()).toMatchObject({ committed: 3, skipped: 2, rows: sum(5, 2, 4) });
  });
  expect(fake.callsOf('t')).toEqual([0, 0, 0, 1, 1]);
});

test('what a person asked for is begun however many are parked, and the rest when few enough are', async () => {
  const gate = new Gate();
  let broken = true;
  const copy = async (ordinal: number) => {
    if (ordinal >= 4) return undefined;
    await gate.pass();
    if (broken) refusing(ordinal)(ordinal);
    return undefined;
  };
  // A skip that is handed back and one whose connection is away is asked for all the same.
  const skipping = (_: number, call: number) => {
    if (call === 1) return { outcome: 'handedBack' as const };
    if (call === 2) throw failureOf('ConnectionFailed', 'nobody answers at warehouse');
    return undefined;
  };
  const job = { tables: [{ table: 'a', partitions: 6, copy, skip: skipping }], parallelism: 4, maxParked: 2 };
  const fake = await during(job, async (handle, doing) => {
    await until(() => gate.waiting === 4);
    gate.open();
    const parked = (count: number) => async (): Promise<boolean> => {
      const [table] = (await handle.query(jobProgress)).tables;
      return table!.phase === 'waiting on parked' && table!.parked.length === count;
    };
    await until(parked(4));
    await handle.executeUpdate(skip, { args: [{ partitions: ['a/1'] }] });
    await until(() => doing.skipped.get('a')!.has(0));
    await until(parked(3));
    broken = false;
    await handle.executeUpdate(retry, { args: [{ partitions: ['a/2'] }] });
    await until(parked(2));
    expect(doing.callsOf('a')).toEqual([1, 2, 1, 1, 0, 0]);
    await handle.executeUpdate(retry, { args: [{}] });
    expect(await handle.result()).toMatchObject({ phase: 'complete with skips', rows: sum(6, 0) });
  });
  expect(fake.callsOf('a')).toEqual([1, 2, 2, 2, 1, 1]);
});

test('a job that set rows aside is complete with rejects, unless something was skipped too', async () => {
  await during(
    {
      tables: [
        { table: 'a', partitions: 2, quarantined: 3 },
        { table: 'b', partitions: 1 },
      ],
    },
    async (handle) => {
      const report = await handle.result();
      expect(report).toMatchObject({ phase: 'complete with rejects', rows: sum(2) + sum(1), quarantined: 6 });
      expect(report.tables[1]).not.toHaveProperty('quarantined');
    },
  );
});
