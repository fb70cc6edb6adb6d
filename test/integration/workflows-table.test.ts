import { afterAll, beforeAll, expect, test } from 'vitest';
import { Context } from '@temporalio/activity';
import { tableProgress } from '../../workflows/messages.js';
import { FakeActivities, FAKE_RETRY, failureOf, Gate, rowsOf, type FakeTable } from '../support/fake-activities.js';
import { failureOfWorkflow, until, WorkflowTests } from '../support/workflows.js';

let tests: WorkflowTests;
beforeAll(async () => {
  tests = await WorkflowTests.start();
});
afterAll(() => tests.stop());

const sumOfRows = (partitions: number): number =>
  Array.from({ length: partitions }, (_, i) => rowsOf(i)).reduce((a, b) => a + b, 0);
const fakes = (table: Omit<FakeTable, 'table'>): FakeActivities =>
  new FakeActivities({ tables: [{ table: 't', ...table }] });
/** Sends no heartbeat and ends only with its worker. */
const never = (): Promise<never> => Context.current().cancelled;

test('300 partitions over several executions: each copied exactly once, and the sums carried over', async () => {
  const fake = fakes({ partitions: 300, steps: [{ step: 0, label: 'primary key' }] });
  await tests.during(fake.activities, async (queue) => {
    const handle = await tests.startTable(queue, { table: 't', continueAfter: 70 });
    const result = await handle.result();
    expect(result).toMatchObject({
      phase: 'published',
      partitions: 300,
      committed: 300,
      rows: sumOfRows(300),
      retries: 0,
    });
    const { executions } = await executionsOf(handle.workflowId);
    expect(executions).toBe(5);
  });
  expect(fake.callsOf('t')).toEqual(Array.from({ length: 300 }, () => 1));
  expect(fake.mostRunning).toBeLessThanOrEqual(4);
  expect(fake.built).toEqual(['t primary key']);
});

test('rows that were set aside are summed over executions, and have to be those of the ledger', async () => {
  const fake = fakes({ partitions: 30, quarantined: 2 });
  await tests.during(fake.activities, async (queue) => {
    const result = await (await tests.startTable(queue, { table: 't', continueAfter: 10 })).result();
    expect(result).toMatchObject({ phase: 'published', rows: sumOfRows(30), quarantined: 60 });
    expect(result).toMatchObject({ rejectsTable: 'longhaul.rejects' });
  });
  const wrong = fakes({ partitions: 3, quarantined: 2, quarantinedInLedger: 5 });
  await tests.during(wrong.activities, async (queue) => {
    const handle = await tests.startTable(queue, { table: 't' });
    expect(await failureOfWorkflow(handle)).toMatchObject({
      type: 'CountMismatch',
      message: expect.stringMatching(
        /its attempts committed \d+ rows and set 6 aside, and the ledger has \d+ rows and set 5 aside/,
      ) as string,
    });
  });
});

async function executionsOf(workflowId: string): Promise<{ executions: number }> {
  const { client } = tests.temporal;
  let executions = 0;
  await until(async () => {
    executions = 0;
    let open = 0;
    for await (const { status } of client.workflow.list({ query: `WorkflowId = '${workflowId}'` })) {
      executions += 1;
      if (status.name === 'RUNNING') open += 1;
    }
    return executions > 0 && open === 0;
  });
  return { executions };
}

test('a resumed table asks the ledger what is left, across pages, and publishes the whole sum', async () => {
  const committed = Array.from({ length: 2_500 }, (_, i) => i).filter((i) => i !== 3 && i !== 2_044 && i !== 2_499);
  const fake = fakes({ partitions: 2_500, committed });
  await tests.during(fake.activities, async (queue) => {
    const handle = await tests.startTable(queue, { table: 't' });
    expect(await handle.result()).toMatchObject({ committed: 2_500, rows: sumOfRows(2_500) });
  });
  expect([...fake.calls.keys()].sort()).toEqual(['t 2044', 't 2499', 't 3']);
});

test('a partition that used up its attempts parks; the others finish; the table fails naming it', async () => {
  const fake = fakes({
    partitions: 10,
    copy: (ordinal) => {
      if (ordinal === 3) throw failureOf('LockTimeout', 'the lock was not had');
      if (ordinal === 7) throw failureOf('DataRejected', 'the value was refused');
      return undefined;
    },
  });
  await tests.during(fake.activities, async (queue) => {
    const handle = await tests.startTable(queue, { table: 't' });
    const failure = await failureOfWorkflow(handle);
    expect(failure.type).toBe('PartitionsParked');
    expect(failure.message).toContain('2 of 10 partitions are parked');
    expect(failure.message).toContain('4/10: LockTimeout: the lock was not had');
    expect(failure.message).toContain('8/10: DataRejected: the value was refused');
  });
  expect(fake.callsOf('t')).toEqual([1, 1, 1, FAKE_RETRY.maximumAttempts, 1, 1, 1, 1, 1, 1]);
  expect(fake.publishes.size).toBe(0);
});

test('maxParked stops scheduling', async () => {
  const fake = fakes({ partitions: 50, copy: () => Promise.reject(failureOf('DataRejected', 'no')) });
  await tests.during(fake.activities, async (queue) => {
    const handle = await tests.startTable(queue, { table: 't', maxParked: 3, grant: { slots: 1, sequence: 0 } });
    expect((await failureOfWorkflow(handle)).message).toContain('47 were not begun');
  });
  expect(fake.callsOf('t').filter((calls) => calls > 0)).toHaveLength(3);
});

test('onFailure wait: parked partitions wait for a signal and are then copied', async () => {
  let broken = true;
  const fake = fakes({
    partitions: 5,
    copy: (ordinal) => {
      if (ordinal < 2 && broken) throw failureOf('DataRejected', 'no');
      return undefined;
    },
  });
  await tests.during(fake.activities, async (queue) => {
    const handle = await tests.startTable(queue, { table: 't', onFailure: 'wait' });
    await until(async () => (await handle.query(tableProgress)).phase === 'waiting on parked');
    expect((await handle.query(tableProgress)).parked.map(({ label }) => label)).toEqual(['1/5', '2/5']);
    broken = false;
    await handle.signal('retryParked', ['1']);
    await until(async () => (await handle.query(tableProgress)).parked.length === 1);
    await handle.signal('retryParked');
    expect(await handle.result()).toMatchObject({ phase: 'published', committed: 5, retries: 2, parked: [] });
  });
});

test('a connection that fails pauses the table: one probe at a time, nothing parks', async () => {
  let down = 6;
  let mostWhileDown = 0;
  const fake: FakeActivities = fakes({
    partitions: 20,
    copy: () => {
      if (down === 0) return undefined;
      down -= 1;
      if (down < 2) mostWhileDown = Math.max(mostWhileDown, fake.running);
      throw failureOf('ConnectionFailed', 'nobody answers at warehouse');
    },
  });
  await tests.during(fake.activities, async (queue) => {
    const handle = await tests.startTable(queue, { table: 't' });
    expect(await handle.result()).toMatchObject({ phase: 'published', committed: 20, parked: [], retries: 6 });
  });
  expect(mostWhileDown).toBe(1);
});

test('the connection may be away at every other activity too', async () => {
  const away = (call: number): void => {
    if (call < 3) throw failureOf('ConnectionFailed', 'away');
  };
  const fake = fakes({ partitions: 2, prepare: away, publish: away });
  await tests.during(fake.activities, async (queue) => {
    expect(await (await tests.startTable(queue, { table: 't' })).result()).toMatchObject({ phase: 'published' });
  });
});

test('a crash (heartbeat timeout) uses up no attempt; a poison partition parks after its crashes', async () => {
  const fake = fakes({
    partitions: 3,
    copy: (ordinal, call) => (ordinal === 0 && call <= 2 ? never() : ordinal === 2 ? never() : undefined),
  });
  const retry = { ...FAKE_RETRY, maximumAttempts: 3, maximumCrashes: 2, heartbeatTimeout: 1_000 };
  await tests.during(fake.activities, async (queue) => {
    const handle = await tests.startTable(queue, { table: 't', retry, onFailure: 'wait' });
    await until(async () => (await handle.query(tableProgress)).phase === 'waiting on parked');
    const progress = await handle.query(tableProgress);
    expect(progress).toMatchObject({ committed: 2, retries: 4 });
    expect(progress.parked).toMatchObject([{ ordinal: 2, code: 'Crashed' }]);
    await handle.terminate();
  });
  expect(fake.callsOf('t')).toEqual([3, 1, 3]);
});

test('a partition that was handed back is scheduled anew at once, and not counted as a failure', async () => {
  const fake = fakes({
    partitions: 4,
    copy: (ordinal, call) => (ordinal === 1 && call < 5 ? { outcome: 'handedBack' } : undefined),
  });
  await tests.during(fake.activities, async (queue) => {
    const retry = { ...FAKE_RETRY, maximumAttempts: 1 };
    expect(await (await tests.startTable(queue, { table: 't', retry })).result()).toMatchObject({
      committed: 4,
      retries: 4,
    });
  });
});

test('an error of the whole table cancels what is in flight and fails with its code', async () => {
  const fake = fakes({
    partitions: 30,
    copy: (ordinal) => {
      if (ordinal === 4) throw failureOf('SourceChanged', 'a column is gone');
      return undefined;
    },
  });
  await tests.during(fake.activities, async (queue) => {
    const failure = await failureOfWorkflow(await tests.startTable(queue, { table: 't' }));
    expect(failure).toMatchObject({ type: 'SourceChanged', message: 'a column is gone' });
  });
  expect(fake.callsOf('t').filter((calls) => calls > 0).length).toBeLessThan(30);
});

test('receipts that publish misses are copied again', async () => {
  const fake = fakes({ partitions: 12, lose: [2, 9] });
  await tests.during(fake.activities, async (queue) => {
    const result = await (await tests.startTable(queue, { table: 't' })).result();
    expect(result).toMatchObject({ phase: 'published', committed: 12, rows: sumOfRows(12) });
  });
  expect(fake.callsOf('t')).toEqual([1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1]);
  expect(fake.publishes.get('t')).toBe(2);
});

test('receipts that the comparison of digests misses are copied again, then compared and published', async () => {
  const fake = fakes({
    partitions: 12,
    verify: (call) => {
      if (call === 1) for (const ordinal of [2, 9]) fake.receipts.get('t')!.delete(ordinal);
    },
  });
  await tests.during(fake.activities, async (queue) => {
    const result = await (await tests.startTable(queue, { table: 't', checksum: true })).result();
    expect(result).toMatchObject({ phase: 'published', committed: 12, rows: sumOfRows(12) });
  });
  expect(fake.callsOf('t')).toEqual([1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1]);
  expect([fake.verifies.get('t'), fake.publishes.get('t')]).toEqual([2, 1]);
});

test('sums that do not add up fail the table', async () => {
  const fake = fakes({
    partitions: 3,
    publish: () => void fake.receipts.get('t')!.set(1, 1_000_000),
  });
  await tests.during(fake.activities, async (queue) => {
    const failure = await failureOfWorkflow(await tests.startTable(queue, { table: 't' }));
    expect(failure).toMatchObject({ type: 'CountMismatch' });
    expect(failure.message).toContain('its attempts committed 6 rows, and the ledger has 1000004');
  });
});

test('a shrunk grant lets running partitions end, and an outdated one is ignored', async () => {
  const gate = new Gate();
  const fake = fakes({ partitions: 12, copy: () => gate.pass().then(() => undefined) });
  await tests.during(fake.activities, async (queue) => {
    const handle = await tests.startTable(queue, { table: 't' });
    await until(() => fake.running === 4);
    await handle.signal('grantSlots', { slots: 1, sequence: 2 });
    await handle.signal('grantSlots', { slots: 9, sequence: 1 });
    await until(async () => (await handle.query(tableProgress)).slots === 1);
    for (const left of [3, 2, 1]) {
      gate.one();
      await until(() => fake.running === left);
    }
    gate.one();
    await until(() => gate.waiting === 1);
    expect(fake.running).toBe(1);
    await handle.signal('grantSlots', { slots: 3, sequence: 3 });
    await until(() => gate.waiting === 3);
    gate.open();
    expect(await handle.result()).toMatchObject({ committed: 12 });
  });
});
