import type { StoreLocation } from '../objects/location.js';
import type { OutOfRange } from './model.js';

/** A connection of type `delta` or `parquet`, compiled. */
export interface LakeConnectionConfig {
  readonly type: 'delta' | 'parquet';
  /** Its name in longhaul.yaml. */
  readonly name: string;
  /** Of the root, below which tables lie. Holds a secret, which it doesn't print. */
  readonly location: StoreLocation;
  /** Of data files. */
  readonly compression: 'zstd' | 'snappy';
  /** Bytes that a data file is to have, about. */
  readonly targetFileSize: number;
  readonly outOfRange: OutOfRange;
}
