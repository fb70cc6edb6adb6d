import type { OpenStore } from '../../objects/store.js';
import type { SessionOptions } from '../../types.js';
import type { TableFormat } from '../format.js';
import type { LakeLedger } from '../ledger/index.js';
import type { OutOfRange } from '../model.js';

/** How files of a lake are written. */
export interface FileSettings {
  /** The connection's name. */
  readonly name: string;
  readonly compression: 'zstd' | 'snappy';
  /** In bytes: a file that has so many is finished, and another begun. */
  readonly targetFileSize: number;
  readonly outOfRange: OutOfRange;
}

/** What one session of a lake has: its store's requests end with its signal. */
export interface LakeContext {
  readonly config: FileSettings;
  readonly options: SessionOptions;
  readonly store: OpenStore;
  readonly ledger: LakeLedger;
  readonly format: TableFormat;
}
