import { MockActivityEnvironment } from '@temporalio/testing';
import { expect, test } from 'vitest';
import { unpublishedTables } from '../../activities/unpublished-tables.js';
import { createMemoryConnector, memoryServer } from '../../src/connectors/memory/index.js';
import type { NewTableRecord } from '../../src/connectors/types.js';

const log = { debug: () => undefined, info: () => undefined, warn: () => undefined };
const server = 'unpublished-tables';
const connector = createMemoryConnector({ name: 'to', server });

function newTable(table: string): NewTableRecord {
  const spec = { table, to: `dw.${table}`, mode: 'replace', partition: { by: 'auto' } } as const;
  const shape = { system: 'memory', columns: [], primaryKey: [] };
  return { spec, source: 'from', shape, columns: [], format: 'rows', fingerprint: {} };
}

const ask = (input: object) =>
  new MockActivityEnvironment().run(() =>
    unpublishedTables({ connectors: new Map([['to', connector]]), log }, { run: 'r', destination: 'to', ...input }),
  );

test('every table of a run that is not published is named, however many there are', async () => {
  const session = await connector.openDestination({ signal: new AbortController().signal, label: 'test', log });
  const names = Array.from({ length: 12_000 }, (_, i) => `table_${i}`);
  await session.ledger.openRun({ run: 'r', job: 'job' }, names.map(newTable));
  const entry = [...memoryServer(server).runs.get('r')!.tables.values()][0]!;
  entry.record = { ...entry.record, state: 'published' };
  expect(await ask({})).toEqual({ tables: names.slice(1) });
  expect(await ask({ run: 'another' })).toEqual({ tables: [], unknown: true });
  const servers = { source: 'x', destination: 'y' };
  await expect(ask({ servers })).rejects.toMatchObject({ code: 'ConnectionMismatch' });
});
