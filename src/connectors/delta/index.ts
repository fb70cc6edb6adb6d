import { packageVersion } from '../../package-version.js';
import type { LakeConnectionConfig } from '../lake/config.js';
import { createLakeConnector } from '../lake/open.js';
import type { Connector } from '../types.js';
import { DeltaFormat } from './format.js';

/** Delta tables in a folder or in S3, as a destination. */
export function createDeltaConnector(config: LakeConnectionConfig): Connector {
  return createLakeConnector(config, (store, { log }) => new DeltaFormat(config.name, store, log, packageVersion()));
}
