import { expect, test } from 'vitest';
import type { TableProgress } from '../../workflows/messages.js';
import { retryTargets, skipTargets } from '../../workflows/requests.js';

function table(name: string, labels: readonly string[], more: Partial<TableProgress> = {}): TableProgress {
  const parked = labels.map((label, index) => ({
    ...{ ordinal: Number(/^\d+/.exec(label)?.[0] ?? index + 1) - 1, label, code: 'DataRejected', error: 'no' },
  }));
  return {
    ...{
      table: name,
      to: name,
      mode: 'replace',
      phase: 'waiting on parked',
      partitions: 100,
      committed: 0,
      running: 0,
    },
    ...{ rows: 0, bytes: 0, retries: 0, skipped: 0, slots: 1, parked },
    ...more,
  };
}

const TABLES = [
  table('public.orders', ['17/100', '23/100']),
  table('erp', []),
  table('erp/invoices', ['north', 'a/b'], { parkedMore: 3 }),
  table('public.done', ['1/100'], { phase: 'published' }),
];

const of = (...partitions: string[]) => retryTargets({ partitions }, TABLES);

test('parked partitions are named as people see them, with their table', () => {
  expect(of('public.orders/17')).toEqual([{ table: 'public.orders', labels: ['17'], count: 1 }]);
  expect(of('public.orders/17/100', 'public.orders/23', 'erp/invoices/a/b')).toEqual([
    { table: 'public.orders', labels: ['17/100', '23'], count: 2 },
    { table: 'erp/invoices', labels: ['a/b'], count: 1 },
  ]);
  expect(of('public.orders', 'public.orders/17')).toEqual([{ table: 'public.orders', count: 2 }]);
  expect(retryTargets({}, TABLES)).toEqual([
    { table: 'public.orders', count: 2 },
    { table: 'erp/invoices', count: 5 },
  ]);
});

test('of a list that the job knows in part, what may be parked is passed on', () => {
  expect(of('erp/invoices/west')).toEqual([{ table: 'erp/invoices', labels: ['west'], count: 1 }]);
  const tables = [table('t', ['3/100'], { parkedMore: 7 })];
  expect(retryTargets({ partitions: ['t/90'] }, tables)).toHaveLength(1);
  expect(() => retryTargets({ partitions: ['t/2'] }, tables)).toThrow('t/2 is not parked');
  expect(() => retryTargets({ partitions: ['t/101'] }, tables)).toThrow('t/101 is not parked');
  expect(() => retryTargets({ partitions: ['t/x'] }, tables)).toThrow('t/x is not parked');
});

test.each([
  [['public.orders/16'], 'public.orders/16 is not parked; nothing was done. Parked in public.orders: 17/100, 23/100.'],
  [['public.orders/17', 'public.orders/16'], 'public.orders/16 is not parked'],
  [['public.order/17'], 'The job has no table "public.order/17" (did you mean public.orders?)'],
  [['erp'], 'No partition of erp is parked'],
  [['public.done'], 'No partition of public.done is parked'],
  [[], 'Write {"partitions"'],
])('%j is refused', (words, message) => {
  expect(() => of(...words)).toThrow(message);
});

const skips = (...partitions: string[]) => skipTargets({ partitions }, TABLES);

test('partitions to be skipped are named each by itself, as those to be retried', () => {
  expect(skips('public.orders/17', 'public.orders/23/100', 'erp/invoices/west')).toEqual([
    { table: 'public.orders', labels: ['17', '23/100'] },
    { table: 'erp/invoices', labels: ['west'] },
  ]);
});

test.each([
  [
    ['public.orders/17', 'public.orders'],
    'public.orders is a whole table, and partitions are skipped only one by one, each by its name (public.orders/17); nothing was done. Parked in public.orders: 17/100, 23/100.',
  ],
  [['public.orders/17', 'public.orders/16'], 'public.orders/16 is not parked; nothing was done.'],
  [['public.order/17'], 'The job has no table "public.order/17" (did you mean public.orders?)'],
  [['public.done/1'], 'public.done/1 is not parked'],
  [[], 'Write {"partitions": ["public.orders/17"]}'],
])('skipping %j is refused', (words, message) => {
  expect(() => skips(...words)).toThrow(message);
});

test('nothing is skipped that was not named', () => {
  for (const request of [undefined, {}, { partitions: 'public.orders/17' }])
    expect(() => skipTargets(request as never, TABLES)).toThrow('Write {"partitions"');
});
