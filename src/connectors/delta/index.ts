import type { LakeConnectionConfig } from '../lake/config.js';
import { createLakeConnector } from '../lake/open.js';
import type { Connector } from '../types.js';
import { DeltaFormat } from './format.js';

/** Delta tables in a folder or in S3, as a destination. `version`: Longhaul's, told in the tables' history. */
export function createDeltaConnector(config: LakeConnectionConfig, version: string): Connector {
  return createLakeConnector(config, (store, { log }) => new DeltaFormat(config.name, store, log, version));
}
