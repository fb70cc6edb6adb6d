import type { DeclaredColumn, Job, Mode, PartitionHint, QueriesFrom, QuerySpec, TableSpec } from '../core/model.js';

/** One entry of `tables`, `defaults` applied; `to` may still hold {schema} and {table}. */
export type CompiledEntry = {
  /** `tables[2]`. */
  readonly path: string;
  readonly mode: Mode;
  readonly to: string;
} & Pick<TableSpec, 'consistency' | 'verify' | 'publish' | 'rejects' | 'partitionBy' | 'types'> &
  (RelationEntry | QueryEntry | ListEntry);

export interface RelationEntry {
  readonly kind: 'relation';
  /** A table's name or a pattern (`sales.*`). */
  readonly from: string;
  readonly columns?: readonly string[];
  readonly exclude?: readonly string[];
  readonly where?: string;
  readonly partition: PartitionHint;
}

export interface QueryEntry {
  readonly kind: 'queries';
  readonly table: string;
  readonly queries: readonly QuerySpec[];
  readonly declared?: readonly DeclaredColumn[];
}

/** Stands for the tables of a list: for the one of this name, or for all that have no entry of their own. */
export interface ListEntry {
  readonly kind: 'list';
  readonly table?: string;
  readonly queriesFrom: QueriesFrom;
  readonly declared?: readonly DeclaredColumn[];
}

export interface CompiledJob extends Omit<Job, 'tables'> {
  readonly entries: readonly CompiledEntry[];
}
