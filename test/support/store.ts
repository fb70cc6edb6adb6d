import { openStore } from '../../src/connectors/objects/open.js';
import type { StoreLocation } from '../../src/connectors/objects/location.js';
import type { OpenStore } from '../../src/connectors/objects/store.js';
import type { Log } from '../../src/connectors/types.js';

export const quiet: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined };

/** A store of a connection `lake` that nothing aborts, unless it is told to. */
export function storeAt(location: StoreLocation, signal = new AbortController().signal, log = quiet): OpenStore {
  return openStore(location, { name: 'lake', signal, log });
}
