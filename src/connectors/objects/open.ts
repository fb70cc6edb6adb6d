import { openLocalStore } from './local.js';
import type { StoreLocation, StoreOptions } from './location.js';
import { openS3Store } from './s3.js';
import type { OpenStore } from './store.js';

export type * from './location.js';

/** Opens nothing yet: the first method does. */
export function openStore(location: StoreLocation, options: StoreOptions): OpenStore {
  return location.kind === 'local' ? openLocalStore(location, options) : openS3Store(location, options);
}
