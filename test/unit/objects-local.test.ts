import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { objectStoreContract, type StoreFixture } from '../contract/object-store-suite.js';
import { storeAt } from '../support/store.js';

objectStoreContract('a folder', async (): Promise<StoreFixture> => {
  const path = await mkdtemp(join(tmpdir(), 'longhaul-store-'));
  return {
    open: ({ signal = new AbortController().signal } = {}) =>
      storeAt({ kind: 'local', path: join(path, 'lake') }, signal),
    leftovers: () => readdir(join(path, 'lake', '_longhaul', 'tmp')),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true }),
  };
});
