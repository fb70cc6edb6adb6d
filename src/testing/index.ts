import { resolve } from 'node:path';
import type { SourceDefinition, SourceOptions } from '../connectors/module/define.js';
import { createModuleConnector, loadSource, type ModuleConnectionConfig } from '../connectors/module/index.js';
import type { DeclaredColumn, QuerySpec, TableSpec } from '../core/model.js';
import { closesEachSession, tellsRetryFromRefusal } from './module-checks.js';
import { sourceChecks, type Check } from './source-checks.js';

export type { Check } from './source-checks.js';

/** What of a source is checked: one table, as an entry of a job has it. */
export interface ContractOptions {
  readonly table: string;
  /** As in the job; left out where the source has a `plan`. The first few are read, each several times. */
  readonly queries?: readonly QuerySpec[];
  /** Name to type, as the job declares them; left out where the source has a `describe`. */
  readonly columns?: Readonly<Record<string, string>>;
  /** Of the connection in longhaul.yaml. */
  readonly options?: SourceOptions;
  /** One that the source has to refuse. */
  readonly wrongQuery?: QuerySpec | undefined;
}

/**
 * What every source has to keep, as checks for any test runner: `for (const { name, run } of sourceContract(…)) test(name, run)`.
 * `source`: what `defineSource` answers, or the path of a module, which is then loaded as a worker loads it.
 */
export function sourceContract<Session, Options extends object>(
  source: SourceDefinition<Session, Options> | string,
  { table, queries, columns, options = {}, wrongQuery }: ContractOptions,
): Check[] {
  const config = configOf(source, options);
  const load = () => (typeof source === 'string' ? loadSource(config) : Promise.resolve(source as SourceDefinition));
  const spec = specOf(table, queries, columns);
  const subject = { connector: createModuleConnector(config, load), spec, ...(wrongQuery && { wrongQuery }) };
  return [
    ...sourceChecks(subject),
    closesEachSession(config, load, spec),
    ...(wrongQuery === undefined ? [] : [tellsRetryFromRefusal(subject.connector, spec, wrongQuery)]),
  ];
}

function configOf(source: unknown, options: SourceOptions): ModuleConnectionConfig {
  const written = typeof source === 'string' ? source : 'the source';
  return { type: 'module', name: 'contract', path: resolve(written), written, options };
}

function specOf(
  table: string,
  queries: readonly QuerySpec[] | undefined,
  columns: Readonly<Record<string, string>> | undefined,
): TableSpec {
  const declared = columns && Object.entries(columns).map(([name, type]): DeclaredColumn => ({ name, type }));
  return {
    ...{ table, to: table, mode: 'replace', partition: { by: 'auto' } },
    ...(queries === undefined ? { from: table } : { queries }),
    ...(declared && { declared }),
  };
}
