import { LonghaulError } from '../../core/errors.js';
import type { Connector } from '../types.js';
import type { DatabricksConnectionConfig } from './config.js';
import { openStatements } from './statements.js';

export type { DatabricksConnectionConfig } from './config.js';

/** A Databricks workspace: statements on a SQL warehouse. docs/databricks.md says what was and was not tried. */
export function createDatabricksConnector(config: DatabricksConnectionConfig): Connector {
  const refuse = (what: string) => () =>
    Promise.reject(
      new LonghaulError(
        'ServerUnsuitable',
        `Connection "${config.name}" is a Databricks workspace, which can not be ${what}.`,
      ),
    );
  return {
    name: config.name,
    type: config.type,
    capabilities: { formats: [], source: false, destination: false },
    openSource: refuse('the source of a copy'),
    openDestination: refuse('the destination of a copy in this version'),
    openStatements: (options) => openStatements(config, options),
  };
}
