import { LonghaulError } from '../../core/errors.js';
import { RunCache } from '../lake/ledger/index.js';
import { LAKE_CAPABILITIES, openLakeIn } from '../lake/open.js';
import type { Capabilities, Connector, DestinationSession, SessionOptions } from '../types.js';
import { WarehouseClient } from './client.js';
import type { DatabricksConnectionConfig } from './config.js';
import { DatabricksFormat } from './format.js';
import { openStatements } from './statements.js';
import { VolumeStore } from './volume-store.js';
import { checkWorkspace } from './workspace.js';

export type { DatabricksConnectionConfig } from './config.js';

const STATEMENTS_ONLY: Capabilities = { formats: [], source: false, destination: false };

/** A Databricks workspace: statements on a SQL warehouse, and, with a volume, a destination. docs/databricks.md says what was and was not tried. */
export function createDatabricksConnector(config: DatabricksConnectionConfig): Connector {
  const cache = new RunCache();
  const refuse = (what: string, next?: string) =>
    Promise.reject(
      new LonghaulError(
        'ServerUnsuitable',
        `Connection "${config.name}" is a Databricks workspace${next === undefined ? '' : ' without a volume'}, which can not be ${what}.`,
        next === undefined ? {} : { next },
      ),
    );
  return {
    name: config.name,
    type: config.type,
    capabilities: config.volume === undefined ? STATEMENTS_ONLY : LAKE_CAPABILITIES,
    openSource: () => refuse('the source of a copy'),
    openDestination: (options) =>
      config.volume === undefined
        ? refuse('the destination of a copy', 'Give it a volume in longhaul.yaml, for data files and the ledger.')
        : Promise.resolve(openDestination(config, options, cache)),
    openStatements: (options) => openStatements(config, options),
  };
}

function openDestination(
  config: DatabricksConnectionConfig,
  options: SessionOptions,
  cache: RunCache,
): DestinationSession {
  const client = new WarehouseClient(config, options.signal);
  const store = new VolumeStore(config, options.signal);
  const catalog = config.catalog ?? config.volume!.catalog;
  return openLakeIn(store, config, options, new DatabricksFormat(client, store), cache, {
    identity: `${config.host} ${catalog} ${store.url}`,
    check: () => checkWorkspace(client, store),
  });
}
