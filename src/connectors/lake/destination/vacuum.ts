import { LonghaulError } from '../../../core/errors.js';
import type { ObjectInfo, ObjectStore } from '../../objects/store.js';
import type { VacuumedTable, VacuumOptions } from '../../types.js';
import type { Retained } from '../format.js';
import { runOf, tablePath } from '../table-path.js';
import type { LakeContext } from './context.js';
import { BATCH } from './discard.js';

/** See `DestinationSession.vacuum`. One table that is not understood keeps none of the others. */
export async function* vacuum(context: LakeContext, options: VacuumOptions): AsyncGenerator<VacuumedTable> {
  if (context.format.retain === undefined) return;
  for await (const to of context.ledger.targets()) {
    const done = { to, files: 0, bytes: 0, entries: 0 };
    try {
      await vacuumTable(context, options, done);
      yield done;
    } catch (error) {
      if (context.options.signal.aborted || !(error instanceof LonghaulError) || error.handling === 'connection')
        throw error;
      yield { ...done, problem: error.message };
    }
  }
}

type Counts = { -readonly [K in keyof VacuumedTable]: VacuumedTable[K] };

/**
 * Which runs are over is asked before what the table needs: what a run publishes after that is of no matter then, since nothing of the
 * others can be named any more that was not. A run that this ledger doesn't know is another ledger's.
 */
async function vacuumTable(context: LakeContext, { older, dryRun }: VacuumOptions, done: Counts): Promise<void> {
  const { format, store } = context;
  const over = await runsOver(context, done.to);
  const retained = await format.retain!(done, older);
  if (retained === undefined) return;
  for await (const batch of batches(unneeded(context, done.to, over, retained))) {
    if (!dryRun) await store.delete(batch.map(({ path }) => path));
    done.files += batch.length;
    done.bytes += batch.reduce((sum, { size }) => sum + size, 0);
  }
  const entries = (await format.expired?.(done, older)) ?? [];
  for (let at = 0; at < entries.length; at += BATCH) {
    if (!dryRun) await store.delete(entries.slice(at, at + BATCH));
    done.entries += Math.min(BATCH, entries.length - at);
  }
}

/** Names of folders of runs that are over. */
async function runsOver({ format, ledger, store }: LakeContext, to: string): Promise<ReadonlySet<string>> {
  const over = new Set<string>();
  const root = `${tablePath(to)!}/${format.ownFolder}/`;
  for await (const folder of foldersIn(store, root)) {
    const run = runOf(folder);
    if (run !== undefined && (await ledger.isOverIn(run, to))) over.add(folder);
  }
  return over;
}

/** Passes over what is in each of them. */
async function* foldersIn(store: ObjectStore, root: string): AsyncGenerator<string> {
  for (let after: string | undefined; ;) {
    const folder = await firstFolder(store, root, after);
    if (folder === undefined) return;
    yield folder;
    after = `${root}${folder}0`; // follows `/`, which is between the folder's name and all that is in it
  }
}

async function firstFolder(store: ObjectStore, root: string, after: string | undefined): Promise<string | undefined> {
  for await (const page of store.list(root, after)) {
    const inFolders = page.map(({ path }) => path.slice(root.length)).find((path) => path.includes('/'));
    if (inFolders !== undefined) return inFolders.slice(0, inFolders.indexOf('/'));
  }
  return undefined;
}

/** Also none that is younger than what is needed: whoever put it. */
async function* unneeded(
  { format, store }: LakeContext,
  to: string,
  over: ReadonlySet<string>,
  { files, since }: Retained,
): AsyncGenerator<ObjectInfo> {
  for (const folder of over)
    for await (const page of store.list(`${tablePath(to)!}/${format.ownFolder}/${folder}/`))
      for (const each of page) if (!files.has(each.path) && each.modifiedAt.getTime() < since) yield each;
}

async function* batches(items: AsyncIterable<ObjectInfo>): AsyncGenerator<ObjectInfo[]> {
  let batch: ObjectInfo[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length < BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
