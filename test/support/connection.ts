import type { WorkerConfig } from '../../src/config/index.js';
import type { PostgresConnectionConfig } from '../../src/connectors/postgres/config.js';

/** A connection as longhaul.yaml's defaults make it. */
export function connectionTo(
  name: string,
  url: string,
  options: Partial<PostgresConnectionConfig> = {},
): PostgresConnectionConfig {
  return { type: 'postgres', name, url, settings: {}, maxSessions: 50, ledgerSchema: 'longhaul', ...options };
}

/** A connection of a configuration, which is one to Postgres. */
export function postgresIn({ connections }: WorkerConfig, name: string): PostgresConnectionConfig {
  const connection = connections.get(name);
  if (connection?.type !== 'postgres') throw new Error(`${name} is no connection to Postgres`);
  return connection;
}
