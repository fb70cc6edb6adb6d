import { afterAll, beforeAll, expect, test } from 'vitest';
import { tableProgress } from '../../workflows/messages.js';
import { FakeActivities, failureOf, Gate, type FakeTable } from '../support/fake-activities.js';
import { failureOfWorkflow, until, WorkflowTests } from '../support/workflows.js';

/** Others are told of committed queries: at least once each, in batches, and never in the way of the copy. */

let tests: WorkflowTests;
beforeAll(async () => {
  tests = await WorkflowTests.start();
});
afterAll(() => tests.stop());

const fakes = (table: Omit<FakeTable, 'table'>): FakeActivities =>
  new FakeActivities({ tables: [{ table: 't', ...table }] });
const input = { table: 't', announced: true } as const;
const all = (count: number) => Array.from({ length: count }, (_, ordinal) => ordinal);
const toldOf = (fake: FakeActivities) => [...(fake.told.get('t') ?? [])].sort((a, b) => a - b);

test('each is told once, one batch at a time, with all that was committed since', async () => {
  const gate = new Gate();
  const sizes: number[] = [];
  let running = 0;
  const fake = fakes({
    partitions: 40,
    announce: async (call, ordinals) => {
      sizes.push(ordinals.length);
      expect(++running).toBe(1);
      if (call === 1) await gate.pass();
      running -= 1;
    },
  });
  await tests.during(fake.activities, async (queue) => {
    const handle = await tests.startTable(queue, input);
    await until(() => fake.receipts.get('t')!.size === 40);
    await until(() => fake.publishes.get('t') === 1);
    gate.open();
    const result = await handle.result();
    expect(result.phase).toBe('published');
    expect(result.warning).toBeUndefined();
  });
  expect(toldOf(fake)).toEqual(all(40));
  expect(sizes.length).toBeLessThan(6);
});

test('nobody is told where no one asked for it', async () => {
  const fake = fakes({ partitions: 5, announce: () => undefined });
  await tests.during(fake.activities, async (queue) => {
    await (await tests.startTable(queue, { table: 't' })).result();
  });
  expect(fake.told.size).toBe(0);
});

test('of a run that goes on, what the ledger has is told too, in pages; and what is skipped is not', async () => {
  const batches: number[] = [];
  const fake = fakes({
    partitions: 1_200,
    committed: all(1_195),
    copy: (ordinal) => {
      if (ordinal === 1_197) throw failureOf('DataRejected', 'a value');
      return undefined;
    },
    announce: (_, ordinals) => void batches.push(ordinals.length),
  });
  await tests.during(fake.activities, async (queue) => {
    const handle = await tests.startTable(queue, { ...input, onFailure: 'wait' });
    await until(async () => (await handle.query(tableProgress)).phase === 'waiting on parked');
    await handle.signal('skipParked', ['1198/1200']);
    expect(await handle.result()).toMatchObject({ phase: 'published', skipped: 1 });
  });
  expect([...new Set(toldOf(fake))]).toEqual(all(1_200).filter((ordinal) => ordinal !== 1_197));
  expect(Math.max(...batches)).toBe(500);
});

test('when they can not be told, the table is copied and published all the same, and says so', async () => {
  const fake = fakes({
    partitions: 6,
    announce: () => {
      throw failureOf('StatementInvalid', 'relation "_extract" does not exist');
    },
  });
  await tests.during(fake.activities, async (queue) => {
    const handle = await tests.startTable(queue, input);
    const result = await handle.result();
    expect(result).toMatchObject({ phase: 'published', committed: 6 });
    expect(result.warning).toBe(
      'the list\'s onCommitted was not run for 6 committed queries: relation "_extract" does not exist',
    );
  });
});

test('what failed is told when it works again', async () => {
  const fake = fakes({
    partitions: 12,
    announce: (call) => {
      if (call <= 2) throw failureOf('ConnectionFailed', 'away');
    },
  });
  await tests.during(fake.activities, async (queue) => {
    const result = await (await tests.startTable(queue, input)).result();
    expect(result.warning).toBeUndefined();
  });
  expect(toldOf(fake)).toEqual(all(12));
});

test('a table that continues as new carries on what was not told', async () => {
  let away = true;
  const fake = fakes({
    partitions: 30,
    copy: (ordinal) => {
      if (ordinal === 25) away = false;
      return undefined;
    },
    announce: () => {
      if (away) throw failureOf('ConnectionFailed', 'away');
    },
  });
  await tests.during(fake.activities, async (queue) => {
    const handle = await tests.startTable(queue, { ...input, continueAfter: 10 });
    expect((await handle.result()).warning).toBeUndefined();
  });
  expect([...new Set(toldOf(fake))]).toEqual(all(30));
});

test('of a table that fails, what it committed is told', async () => {
  const fake = fakes({
    partitions: 4,
    copy: (ordinal) => {
      if (ordinal === 3) throw failureOf('DataRejected', 'a value');
      return undefined;
    },
    announce: () => undefined,
  });
  await tests.during(fake.activities, async (queue) => {
    const { type } = await failureOfWorkflow(await tests.startTable(queue, input));
    expect(type).toBe('PartitionsParked');
  });
  expect(toldOf(fake)).toEqual([0, 1, 2]);
});
