import { openLocalStore } from './local.js';
import type { StoreLocation, StoreOptions } from './location.js';
import type { OpenStore } from './store.js';

export type * from './location.js';

/** Opens nothing yet: the first method does. S3's SDK is not loaded by who has no store there: it takes 200 ms of CPU time and 12 MB. */
export async function openStore(location: StoreLocation, options: StoreOptions): Promise<OpenStore> {
  if (location.kind === 'local') return openLocalStore(location, options);
  const { openS3Store } = await import('./s3.js');
  return openS3Store(location, options);
}
