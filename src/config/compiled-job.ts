import type { Job, Mode, PartitionHint, QuerySpec, TableSpec } from '../core/model.js';

/** One entry of `tables`, `defaults` applied; `to` may still hold {schema} and {table}. */
export type CompiledEntry = {
  /** `tables[2]`. */
  readonly path: string;
  readonly mode: Mode;
  readonly to: string;
} & Pick<TableSpec, 'consistency' | 'verify' | 'publish'> &
  (RelationEntry | QueryEntry);

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
}

export interface CompiledJob extends Omit<Job, 'tables'> {
  readonly entries: readonly CompiledEntry[];
}
