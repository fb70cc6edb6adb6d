import type { ColumnShape } from '../../core/model.js';

/** What the parts of a lake destination tell each other: types of columns, and files that were written. */

/** The type of a column in Parquet and Delta. */
export type LakeType =
  | {
      readonly kind:
        'boolean' | 'byte' | 'short' | 'integer' | 'long' | 'float' | 'double' | 'string' | 'binary' | 'date';
    }
  /** In microseconds: `timestamp` is a moment (UTC), `timestamp_ntz` what a clock on a wall showed. */
  | { readonly kind: 'timestamp' | 'timestamp_ntz' }
  | { readonly kind: 'decimal'; readonly precision: number; readonly scale: number }
  | { readonly kind: 'list'; readonly element: LakeType };

/** What becomes of a value that the lake's type can't hold (`infinity`, a date before year 1 or after 9999): an error, or NULL. */
export type OutOfRange = 'error' | 'null';

export interface LakeColumn {
  readonly name: string;
  readonly type: LakeType;
  readonly nullable: boolean;
  readonly comment?: string;
  /** The source's, by which its values are decoded. */
  readonly source: ColumnShape;
}

/** The least and the greatest value of a column in a file, as texts in the form of `Value` (core types: exact, ISO style). */
export interface ColumnStatistics {
  /** Absent: not known, or there is no value but NULL (or a NaN is among them). */
  readonly min?: string;
  readonly max?: string;
  readonly nulls: number;
}

/** A data file that was written, as the receipt of its partition keeps it. */
export interface DataFile {
  /** From the store's root. */
  readonly path: string;
  /** In bytes. */
  readonly size: number;
  readonly rows: number;
  /** By the names of `partitionBy`, as texts in the form of `Value`; null for NULL. Absent: there are none. */
  readonly partitionValues?: Readonly<Record<string, string | null>>;
  /** By name, of the columns for which readers can use it. */
  readonly statistics: Readonly<Record<string, ColumnStatistics>>;
}
