import type { Connector } from '../types.js';
import { MemoryDestination } from './destination.js';
import { memoryServer } from './server.js';
import { MemorySource } from './source.js';

export { memoryServer, type MemoryServer, type MemoryTable } from './server.js';

/**
 * The connector contract at its smallest, for tests and to read before writing a connector. `server` names a store of this
 * process: connectors of one name meet there.
 */
export function createMemoryConnector({ name, server = name }: { name: string; server?: string }): Connector {
  const store = memoryServer(server);
  return {
    name,
    type: 'memory',
    capabilities: { formats: ['rows'], source: true, destination: true, digest: 'memory rows' },
    openSource: (options) => Promise.resolve(new MemorySource(name, store, options)),
    openDestination: (options) => Promise.resolve(new MemoryDestination(store, options)),
  };
}
