import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createModuleConnector, type ModuleConnectionConfig } from '../../src/connectors/module/index.js';
import type { SourceDefinition } from '../../src/connectors/module/define.js';
import type { RowBatch, RowStream, SessionOptions, SourceSession } from '../../src/connectors/types.js';
import type { Partition, TableRecord, TableSpec } from '../../src/core/model.js';

/** A module in a folder of its own, outside of this package, as a user's is. */
export function moduleFile(text: string, others: Readonly<Record<string, string>> = {}): ModuleConnectionConfig {
  const folder = mkdtempSync(join(tmpdir(), 'longhaul-module-'));
  for (const [name, content] of Object.entries({ ...others, 'erp.ts': text }))
    writeFileSync(join(folder, name), content);
  return { type: 'module', name: 'api', path: join(folder, 'erp.ts'), written: './erp.ts', options: {} };
}

export interface Scene {
  readonly session: SourceSession;
  /** Warnings that were logged. */
  readonly warnings: string[];
  readonly abort: AbortController;
}

/** A session of a source that is written in the test itself. */
export async function sceneOf<S, O extends object>(
  source: SourceDefinition<S, O>,
  options: object = {},
): Promise<Scene> {
  const config = {
    type: 'module',
    name: 'api',
    path: '/erp.ts',
    written: './erp.ts',
    options: { ...options },
  } as const;
  return openScene(config, () => Promise.resolve(source as unknown as SourceDefinition));
}

export async function openScene(
  config: ModuleConnectionConfig,
  load?: () => Promise<SourceDefinition>,
): Promise<Scene> {
  const abort = new AbortController();
  const warnings: string[] = [];
  const log = {
    debug: () => undefined,
    info: () => undefined,
    warn: (fields: object, message: string) => void warnings.push(`${message} ${JSON.stringify(fields)}`),
  };
  const given: SessionOptions = { signal: abort.signal, log, label: 'test', attempt: 2 };
  return { session: await createModuleConnector(config, load).openSource(given), warnings, abort };
}

export const QUERY: Partition = { ordinal: 0, label: 'q017', predicate: 'all of 4711-0815' };

export function entry(over: Partial<TableSpec> = {}): TableSpec {
  const queries = [{ id: 'q017', sql: QUERY.predicate }];
  return { table: 'orders', to: 'public.orders', mode: 'replace', partition: { by: 'auto' }, queries, ...over };
}

export function recordOf(columns: readonly string[], over: Partial<TableSpec> = {}): TableRecord {
  const shape = {
    system: 'declared',
    primaryKey: [],
    columns: columns.map((name) => ({ name, type: 'text', definition: 'text', notNull: false, generated: false })),
  };
  const fixed = { run: 'r', source: 'api', format: 'rows', fingerprint: {}, staging: 's', state: 'open' } as const;
  return { ...fixed, spec: entry(over), shape, columns };
}

/** All batches of the partition `QUERY`. */
export async function batchesOf({ session }: Scene, columns: readonly string[]): Promise<RowBatch[]> {
  const stream = (await session.stream(recordOf(columns), QUERY)) as RowStream;
  const batches: RowBatch[] = [];
  for await (const batch of stream) batches.push(batch);
  return batches;
}
