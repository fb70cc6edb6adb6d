import { createPostgresConnector, type PostgresConnectionConfig } from './postgres/index.js';
import type { Connector } from './types.js';

/** A compiled connection of any system; `type` says which. */
export type ConnectionConfig = PostgresConnectionConfig;

const CONNECTORS: {
  readonly [T in ConnectionConfig['type']]: (config: Extract<ConnectionConfig, { type: T }>) => Connector;
} = {
  postgres: createPostgresConnector,
};

/** The connector of a connection. It opens nothing until it is asked for a session. */
export function createConnector(config: ConnectionConfig): Connector {
  return CONNECTORS[config.type](config);
}
