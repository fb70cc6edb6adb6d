import { expect, test } from 'vitest';
import { checkJob } from '../../activities/check.js';
import { createMemoryConnector, memoryServer } from '../../src/connectors/memory/index.js';
import type { Log } from '../../src/connectors/types.js';
import { formatProblems } from '../../src/core/errors.js';
import { attemptOf } from '../support/checking.js';

const log: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined };

async function problems(job: object): Promise<string> {
  const column = { name: 'id', type: 'text', definition: 'text', notNull: true, generated: false };
  memoryServer('unsnapped from').tables.set('s.a', { columns: [column], primaryKey: ['id'], rows: [['1']] });
  const connectors = new Map([
    ['shop', createMemoryConnector({ name: 'shop', server: 'unsnapped from' })],
    ['warehouse', createMemoryConnector({ name: 'warehouse', server: 'unsnapped to' })],
  ]);
  const raw = { name: 'nightly', source: 'shop', destination: 'warehouse', tables: ['s.a'], ...job };
  const checked = await checkJob({ connectors, log }, raw, attemptOf(), { tell: 'everything' });
  expect(checked.job === undefined).toBe(checked.problems.length > 0);
  return formatProblems(checked.problems);
}

test('a snapshot of a source that can hold none is refused', async () => {
  expect(await problems({ consistency: 'snapshot' })).toBe(
    `consistency: connection "shop" can't hold a snapshot: it is of type memory — write consistency: per-partition, and read what that means`,
  );
  expect(await problems({ consistency: 'per-partition' })).toBe('');
});
