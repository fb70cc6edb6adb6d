import { randomUUID } from 'node:crypto';
import { LonghaulError } from '../../core/errors.js';
import type { ObjectStore } from './store.js';

/** Puts at the same time: a server that looks first and writes then lets more than one of them pass. */
const RIVALS = 4;

/**
 * Tries, with small objects below `_longhaul/probe/` that are removed again, whether the store creates an object only where there is none,
 * and replaces one only while it is the one that was seen: all that is exactly-once here stands on that. Throws ServerUnsuitable.
 */
export async function probeStore(store: ObjectStore, connection: string): Promise<void> {
  const path = `_longhaul/probe/${randomUUID()}`;
  try {
    await tryConditions(store, path, connection);
  } catch (error) {
    // Why is what counts: where nothing can be written, nothing is to be removed either.
    await store.delete([path]).catch(() => undefined);
    throw error;
  }
  await store.delete([path]);
}

async function tryConditions(store: ObjectStore, path: string, connection: string): Promise<void> {
  if (!(await createsOnce(store, path))) throw unsuitable(connection, 'creates an object where there is one already');
  if (!(await replacesWhatWasSeen(store, path)))
    throw unsuitable(connection, 'replaces an object that another one has replaced');
}

async function createsOnce(store: ObjectStore, path: string): Promise<boolean> {
  const contents = Array.from({ length: RIVALS }, () => Buffer.from(randomUUID()));
  const created = await Promise.all(contents.map((bytes) => store.putIfAbsent(path, bytes)));
  const winners = contents.filter((_, index) => created[index]);
  if (winners.length !== 1 || (await store.putIfAbsent(path, Buffer.from(randomUUID())))) return false;
  return holds(store, path, winners[0]!);
}

async function replacesWhatWasSeen(store: ObjectStore, path: string): Promise<boolean> {
  const seen = (await store.head(path))?.tag;
  const [first, second] = [Buffer.from(randomUUID()), Buffer.from(randomUUID())];
  if (seen === undefined || !(await store.replace(path, first, seen))) return false;
  return !(await store.replace(path, second, seen)) && (await holds(store, path, first));
}

async function holds(store: ObjectStore, path: string, bytes: Uint8Array): Promise<boolean> {
  const found = await store.get(path);
  return found !== undefined && Buffer.compare(found, bytes) === 0;
}

function unsuitable(connection: string, what: string): LonghaulError {
  return new LonghaulError(
    'ServerUnsuitable',
    `Connection ${connection}: its endpoint ${what}: it passes over the conditions If-None-Match and If-Match, ` +
      'so that two attempts could commit the same partition. Only an object of the probe was written, and removed.',
    { next: 'Take S3 itself, or a server that honours conditional puts: docs/lake.md says which.' },
  );
}
