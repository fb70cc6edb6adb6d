import type { ObjectInfo, ObjectStore } from '../../objects/store.js';
import { LonghaulError } from '../../../core/errors.js';

export async function getJson<T>(store: ObjectStore, path: string): Promise<T | undefined> {
  const bytes = await store.get(path);
  return bytes && (parse(store, path, bytes) as T);
}

/** Of an object that is there, because another one names it. */
export async function needJson<T>(store: ObjectStore, path: string): Promise<T> {
  const found = await getJson<T>(store, path);
  if (found !== undefined) return found;
  throw damaged(store, path, 'is gone');
}

/** False: there is one already. */
export function putJson(store: ObjectStore, path: string, value: unknown): Promise<boolean> {
  return store.putIfAbsent(path, toBytes(value));
}

export function toBytes(value: unknown): Uint8Array {
  return Buffer.from(`${JSON.stringify(value)}\n`);
}

function parse(store: ObjectStore, path: string, bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (cause) {
    throw damaged(store, path, 'is no JSON', cause);
  }
}

export function damaged(store: ObjectStore, path: string, what: string, cause?: unknown): LonghaulError {
  return new LonghaulError('Unknown', `The ledger in ${store.url} is damaged: ${path} ${what}. Nothing was written.`, {
    next: 'Was something below _longhaul removed or changed? Restore it, or start the job as a new run.',
    ...(cause !== undefined && { cause }),
  });
}

/** Single objects of a listing, which comes in pages. */
export async function* listed(store: ObjectStore, folder: string, after?: string): AsyncGenerator<ObjectInfo> {
  for await (const page of store.list(`${folder}/`, after)) yield* page;
}

const DELETED_AT_ONCE = 1_000;

export async function deleteFolder(store: ObjectStore, folder: string): Promise<void> {
  let paths: string[] = [];
  for await (const { path } of listed(store, folder)) {
    paths.push(path);
    if (paths.length < DELETED_AT_ONCE) continue;
    await store.delete(paths);
    paths = [];
  }
  if (paths.length > 0) await store.delete(paths);
}
