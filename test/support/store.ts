import { openLocalStore } from '../../src/connectors/objects/local.js';
import type { StoreLocation } from '../../src/connectors/objects/location.js';
import { openS3Store } from '../../src/connectors/objects/s3.js';
import type { OpenStore } from '../../src/connectors/objects/store.js';
import type { Log } from '../../src/connectors/types.js';

export const quiet: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined };

/** A store of a connection `lake` that nothing aborts, unless it is told to. As `openStore`, but at once. */
export function storeAt(location: StoreLocation, signal = new AbortController().signal, log = quiet): OpenStore {
  const options = { name: 'lake', signal, log };
  return location.kind === 'local' ? openLocalStore(location, options) : openS3Store(location, options);
}
