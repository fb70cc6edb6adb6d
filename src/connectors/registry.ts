import { createCommandConnector, type CommandConnectionConfig } from './command/index.js';
import { createDatabricksConnector, type DatabricksConnectionConfig } from './databricks/index.js';
import { createDeltaConnector } from './delta/index.js';
import type { LakeConnectionConfig } from './lake/config.js';
import { createModuleConnector, type ModuleConnectionConfig } from './module/index.js';
import { createParquetConnector } from './parquet/index.js';
import { createPostgresConnector, type PostgresConnectionConfig } from './postgres/index.js';
import type { Connector } from './types.js';

/** A compiled connection of any system; `type` says which. */
export type ConnectionConfig =
  | PostgresConnectionConfig
  | CommandConnectionConfig
  | ModuleConnectionConfig
  | LakeConnectionConfig
  | DatabricksConnectionConfig;

/** The connector of a connection. It opens nothing until it is asked for a session. */
export function createConnector(config: ConnectionConfig): Connector {
  switch (config.type) {
    case 'postgres':
      return createPostgresConnector(config);
    case 'command':
      return createCommandConnector(config);
    case 'module':
      return createModuleConnector(config);
    case 'delta':
      return createDeltaConnector(config);
    case 'parquet':
      return createParquetConnector(config);
    case 'databricks':
      return createDatabricksConnector(config);
  }
}
