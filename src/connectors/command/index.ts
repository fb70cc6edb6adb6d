import { LonghaulError } from '../../core/errors.js';
import { Gate } from '../gate.js';
import type { Connector } from '../types.js';
import type { CommandConnectionConfig } from './config.js';
import { CommandSource } from './source.js';

export type { CommandConnectionConfig } from './config.js';

/** Any program that writes rows, as a source: one process for each attempt. Only what the configuration names is ever run. */
export function createCommandConnector(config: CommandConnectionConfig): Connector {
  const gate = new Gate(config.maxProcesses);
  return {
    name: config.name,
    type: config.type,
    capabilities: { formats: ['csv', 'rows'], source: true, destination: false },
    openSource: (options) => Promise.resolve(new CommandSource(config, gate, options)),
    openDestination: () =>
      Promise.reject(
        new LonghaulError('ServerUnsuitable', `Connection "${config.name}" is a program, which can only be a source.`),
      ),
  };
}
