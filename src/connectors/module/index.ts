import { LonghaulError } from '../../core/errors.js';
import type { Connector } from '../types.js';
import type { ModuleConnectionConfig } from './config.js';
import type { SourceDefinition } from './define.js';
import { loadSource } from './load.js';
import { ModuleSource } from './source.js';

export type { ModuleConnectionConfig } from './config.js';
export { loadSource } from './load.js';

/** A TypeScript module as a source: src/connectors/module/define.ts has its form, and `load` answers with it. */
export function createModuleConnector(
  config: ModuleConnectionConfig,
  load: () => Promise<SourceDefinition> = () => loadSource(config),
): Connector {
  return {
    name: config.name,
    type: config.type,
    capabilities: { formats: ['rows'], source: true, destination: false },
    openSource: (options) => Promise.resolve(new ModuleSource(config, options, load)),
    openDestination: () =>
      Promise.reject(
        new LonghaulError('ServerUnsuitable', `Connection "${config.name}" is a module, which can only be a source.`),
      ),
  };
}
