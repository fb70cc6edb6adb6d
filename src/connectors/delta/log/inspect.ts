import { LonghaulError } from '../../../core/errors.js';
import type { ObjectStore } from '../../objects/store.js';
import type { Finding } from '../../types.js';
import type { Metadata, Protocol } from './actions.js';
import { commitFindings, protocolFindings } from './protocol.js';
import { fieldsOf, newTableFindings, schemaFindings, typeText, type Written } from './schema.js';
import { readState, tableOf } from './snapshot.js';

/** What a table is before data moves. */
export interface Inspection {
  /** Absent: there is no table, and publish creates it. */
  readonly table?: { readonly version: number; readonly id: string; readonly fingerprint: string };
  /** Problems: it can't be written. */
  readonly findings: readonly Finding[];
}

export async function inspectTable(store: ObjectStore, tablePath: string, written: Written): Promise<Inspection> {
  const read = await readState(store, tablePath);
  if (read === undefined) return { findings: newTableFindings(written) };
  const table = tableOf(read.state, tablePath);
  const { version } = read.state;
  return {
    table: { version, id: table.metadata.id, fingerprint: tableFingerprint(table.metadata) },
    findings: tableFindings(table, written),
  };
}

/** Of what a copy counts on: names, types and nullability of columns, and how the table is partitioned. */
export function tableFingerprint(metadata: Metadata): string {
  const fields = fieldsOf(metadata).map(({ name, type, nullable }) => [name, typeText(type), nullable]);
  return JSON.stringify([metadata.id, metadata.partitionColumns, fields]);
}

interface Table {
  readonly protocol: Protocol;
  readonly metadata: Metadata;
}

function tableFindings(table: Table, written: Written): Finding[] {
  return [...protocolFindings({ ...table, mode: written.mode }), ...schemaFindings(table.metadata, written)];
}

/** The same at the last moment: throws TargetChanged. `table` undefined: there is none. */
export function refuseUnfit(tablePath: string, table: Table | undefined, written: Written): void {
  refuse(tablePath, table === undefined ? newTableFindings(written) : tableFindings(table, written));
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
