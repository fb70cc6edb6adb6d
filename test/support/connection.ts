import type { PostgresConnectionConfig } from '../../src/connectors/postgres/config.js';

/** A connection as longhaul.yaml's defaults make it. */
export function connectionTo(
  name: string,
  url: string,
  options: Partial<PostgresConnectionConfig> = {},
): PostgresConnectionConfig {
  return { type: 'postgres', name, url, settings: {}, maxSessions: 50, ledgerSchema: 'longhaul', ...options };
}
