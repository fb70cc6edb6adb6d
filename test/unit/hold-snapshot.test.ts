import { MockActivityEnvironment } from '@temporalio/testing';
import { expect, test } from 'vitest';
import { holdSnapshot } from '../../activities/hold-snapshot.js';
import { createMemoryConnector } from '../../src/connectors/memory/index.js';
import type { Connector, NewTableRecord, SnapshotSession } from '../../src/connectors/types.js';

const log = { debug: () => undefined, info: () => undefined, warn: () => undefined };

/** A source whose snapshots are held at once and end by themselves. */
function source(): { connector: Connector; held: number[] } {
  const held: number[] = [];
  const session: SnapshotSession = {
    identity: () => Promise.resolve('source'),
    observe: () => Promise.resolve({ holders: 0 }),
    release: () => Promise.resolve(0),
    hold: (_, tables) => Promise.resolve(void held.push(tables.length)),
    keep: () => Promise.reject(new Error('ended')),
    leave: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const memory = createMemoryConnector({ name: 'from', server: 'hold-snapshot-from' });
  return { connector: { ...memory, openSnapshots: () => Promise.resolve(session) }, held };
}

test('a snapshot that the ledger knows of no table is lost: nothing is held for it', async () => {
  const to = createMemoryConnector({ name: 'to', server: 'hold-snapshot-to' });
  const { connector, held } = source();
  const session = await to.openDestination({ signal: new AbortController().signal, label: 'test', log });
  const spec = { table: 'a', to: 'dw.a', mode: 'replace', partition: { by: 'auto' }, consistency: 'snapshot' } as const;
  const shape = { system: 'memory', columns: [], primaryKey: [] };
  const table: NewTableRecord = { spec, source: 'from', shape, columns: [], format: 'rows', fingerprint: {} };
  await session.ledger.openRun({ run: 'r', job: 'job' }, [table]);
  const deps = { connectors: new Map([['from', connector] as const, ['to', to] as const]), log };
  const hold = (snapshot: number) =>
    new MockActivityEnvironment().run(() =>
      holdSnapshot(deps, { run: 'r', source: 'from', destination: 'to', snapshot, holder: 0 }),
    );
  await expect(hold(1)).rejects.toThrow('ended');
  expect(held).toEqual([1]);
  await expect(hold(2)).rejects.toMatchObject({ code: 'SnapshotLost' });
  expect(held).toEqual([1]);
});
