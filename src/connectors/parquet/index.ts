import type { LakeConnectionConfig } from '../lake/config.js';
import { createLakeConnector } from '../lake/open.js';
import type { Connector } from '../types.js';
import { ParquetFormat } from './format.js';

/** Parquet files in a folder or in S3 and a list of those that count, as a destination. */
export function createParquetConnector(config: LakeConnectionConfig): Connector {
  return createLakeConnector(config, (store) => new ParquetFormat(config.name, store));
}
