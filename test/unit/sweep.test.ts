import { expect, test } from 'vitest';
import { sweep } from '../../activities/sweep.js';
import { createMemoryConnector } from '../../src/connectors/memory/index.js';
import { LonghaulError } from '../../src/core/errors.js';
import type { TableRecord } from '../../src/core/model.js';

const log = { debug: () => undefined, info: () => undefined, warn: () => undefined };
const { signal } = new AbortController();
const running = { signal, log, meter: { rows: 0, bytes: 0, phase: '' } };

function expired(table: string): TableRecord {
  const spec = { table, to: table, mode: 'replace', partition: { by: 'auto' } } as const;
  const shape = { system: 'memory', columns: [], primaryKey: [] };
  const record = { run: 'old', spec, source: 'from', shape, columns: [], format: 'rows', fingerprint: {} };
  return { ...record, staging: `staging of ${table}`, state: 'discarded', expired: true };
}

const sessionOf = () =>
  createMemoryConnector({ name: 'to', server: 'sweep' }).openDestination({ signal, label: 't', log });
const refuse = () => Promise.reject(new LonghaulError('LockTimeout', 'somebody reads it'));

test('that expired staging can not even be looked for is a warning, and no reason not to copy', async () => {
  const session = await sessionOf();
  session.ledger.expire = refuse;
  expect(await sweep(session, 'new', running)).toEqual([
    { path: '', message: expect.stringContaining('somebody reads it') as string },
  ]);
});

test('what can not be removed keeps the rest from its turn for some time only, and a run from opening for a few waits', async () => {
  const session = await sessionOf();
  const held = Array.from({ length: 100 }, (_, i) => expired(`held ${i}`));
  session.ledger.expire = () => Promise.resolve([...held, expired('free')]);
  const tried: string[] = [];
  session.discard = ({ spec }) => {
    tried.push(spec.table);
    return spec.table === 'free' ? Promise.resolve() : refuse();
  };
  // That each of 2,000 sweeps of at least 3 of 101 misses it: less than 1 in 10^26.
  let sweeps = 0;
  for (; sweeps < 2_000 && !tried.includes('free'); sweeps++) {
    const before = tried.length;
    const warnings = await sweep(session, 'new', running);
    expect(tried.length - before).toBe(warnings.length);
    expect(warnings.filter(({ message }) => message.includes('could not be removed'))).toHaveLength(3);
  }
  expect(tried).toContain('free');
});
