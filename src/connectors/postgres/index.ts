import type { Connector } from '../types.js';
import type { PostgresConnectionConfig } from './config.js';
import { openDestinationSession } from './destination/index.js';
import { openSnapshotSession } from './snapshot/session.js';
import { openSourceSession } from './source.js';
import { openStatements } from './statements.js';

export type { PostgresConnectionConfig } from './config.js';

/** Postgres as a source (version 12 and newer) and as a destination, over COPY; as a destination also of CSV and of rows. */
export function createPostgresConnector(config: PostgresConnectionConfig): Connector {
  return {
    name: config.name,
    type: config.type,
    capabilities: {
      formats: ['postgres.copy.binary', 'postgres.copy.text', 'csv', 'rows'],
      source: true,
      destination: true,
      digest: 'postgres rows',
    },
    openSource: (options) => openSourceSession(config, options),
    openSnapshots: (options) => openSnapshotSession(config, options),
    openStatements: (options) => openStatements(config, options),
    openDestination: (options) => openDestinationSession(config, options),
  };
}
