import { LonghaulError } from '../../../core/errors.js';
import { nameFindings } from '../../lake/column-names.js';
import type { ObjectStore } from '../../objects/store.js';
import type { Finding } from '../../types.js';
import type { Metadata, Protocol } from './actions.js';
import { commitFindings, protocolFindings } from './protocol.js';
import { schemaFindings, type Written } from './schema.js';
import { readState, tableOf } from './snapshot.js';

/** What writing to a table would meet, before data moves. Problems: it can't be written. */
export async function inspectTable(store: ObjectStore, tablePath: string, written: Written): Promise<Finding[]> {
  const read = await readState(store, tablePath);
  return findingsOf(read && tableOf(read.state, tablePath), written);
}

interface Table {
  readonly protocol: Protocol;
  readonly metadata: Metadata;
}

/** `table` undefined: there is none, and publish creates it. */
function findingsOf(table: Table | undefined, written: Written): Finding[] {
  if (table === undefined) return nameFindings(written.columns);
  return [...protocolFindings({ ...table, mode: written.mode }), ...schemaFindings(table.metadata, written)];
}

/** The same at the last moment: throws TargetChanged. */
export function refuseUnfit(tablePath: string, table: Table | undefined, written: Written): void {
  refuse(tablePath, findingsOf(table, written));
}

/** Throws TargetChanged where not even a commit without data may be made. */
export function refuseUncommittable(tablePath: string, protocol: Protocol): void {
  refuse(tablePath, commitFindings(protocol));
}

function refuse(tablePath: string, findings: readonly Finding[]): void {
  const problems = findings.filter(({ severity }) => severity === 'problem');
  if (problems.length === 0) return;
  throw new LonghaulError(
    'TargetChanged',
    `The Delta table ${tablePath} can't be written: ${problems.map(({ message }) => message).join('; ')}. Nothing was committed to it`,
    { next: 'Change the table so that it can, and resume; or start the job anew.' },
  );
}
