import { expect, test } from 'vitest';
import { LonghaulError } from '../../src/core/errors.js';
import { beginUnder } from '../../src/connectors/postgres/snapshot/holders.js';
import type { PgSession } from '../../src/connectors/postgres/session.js';

/** A source with one holder, whose snapshot can't be imported so many times. */
function sourceRefusing(times: number): { session: PgSession; imports: () => number } {
  let imports = 0;
  const query = (text: string): Promise<unknown[]> => {
    if (text.includes('pg_stat_activity')) return Promise.resolve([{ id: '00000003-0000001B-1', xids: 1 }]);
    if (!text.startsWith('SET TRANSACTION SNAPSHOT')) return Promise.resolve([]);
    imports += 1;
    return imports > times ? Promise.resolve([]) : Promise.reject(new LonghaulError('Unknown', 'canceled'));
  };
  const log = { debug: () => undefined, info: () => undefined, warn: () => undefined };
  const options = { signal: new AbortController().signal, label: 'test', log };
  const session = { name: 'shop', options, query, rollback: () => Promise.resolve() };
  return { session: session as unknown as PgSession, imports: () => imports };
}

const key = { run: 'r', snapshot: 1 };
const begin = () => Promise.resolve();

test('an import that is refused for a passing reason, by a holder that lives, is tried once more', async () => {
  const { session, imports } = sourceRefusing(1);
  await beginUnder(session, key, begin);
  expect(imports()).toBe(2);
});

test('a holder that refuses again is taken for gone', async () => {
  const { session, imports } = sourceRefusing(9);
  await expect(beginUnder(session, key, begin)).rejects.toMatchObject({ code: 'SnapshotLost' });
  expect(imports()).toBe(2);
});
