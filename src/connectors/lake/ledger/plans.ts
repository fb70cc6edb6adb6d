import { randomUUID } from 'node:crypto';
import { LonghaulError } from '../../../core/errors.js';
import { reach } from '../../../core/fail-points.js';
import type { Partition, PlanSummary, TableRecord } from '../../../core/model.js';
import { PAGE_SIZE, pagesOf } from '../../plan-pages.js';
import type { PlanInput } from '../../types.js';
import type { ObjectStore } from '../../objects/store.js';
import type { Context } from './context.js';
import { deleteFolder, getJson, needJson, putJson } from './objects.js';
import { pagePath, pagesFolder, planPath, type Generation } from './paths.js';
import { findTable, requireOpen } from './records.js';

interface StoredPlan {
  readonly summary: PlanSummary;
  /** Whose pages they are: of several that plan at once, one puts this object. */
  readonly planning: string;
}

/**
 * See `Ledger.putPlan`. A plan that is put after its table was closed is the one that a resume goes by; after a start over it lies where
 * nobody looks.
 */
export async function putPlan(
  { store, logs }: Context,
  record: Pick<TableRecord, 'run' | 'spec' | 'snapshot'>,
  plan: PlanInput,
): Promise<PlanSummary> {
  const { run, spec, snapshot } = record;
  const { entry } = findTable(await logs.read(run), run, spec.table);
  const stored = await readPlan(store, { run, table: spec.table, snapshot: entry.snapshot });
  if (stored) return stored;
  requireOpen(record, entry);
  const of: Generation = { run, table: spec.table, snapshot };
  const planning = randomUUID();
  await reach('plan: before page');
  const partitions = await removedUnless(store, of, planning, async () => {
    const count = await putPages(store, of, planning, plan.partitions);
    requireOpen(record, findTable(await logs.read(run), run, spec.table).entry);
    return count;
  });
  await reach('plan: before COMMIT');
  // Its answer may be lost: then the pages have to stay.
  const put = await putJson(store, planPath(of), {
    summary: summaryOf(plan, partitions),
    planning,
  } satisfies StoredPlan);
  await reach('plan: after COMMIT');
  if (!put) await removePages(store, of, planning);
  return (await readPlan(store, of))!;
}

async function removedUnless<T>(
  store: ObjectStore,
  of: Generation,
  planning: string,
  write: () => Promise<T>,
): Promise<T> {
  try {
    return await write();
  } catch (error) {
    await removePages(store, of, planning);
    throw error;
  }
}

function removePages(store: ObjectStore, of: Generation, planning: string): Promise<void> {
  return deleteFolder(store, `${pagesFolder(of)}/${planning}`);
}

export async function readPlan(store: ObjectStore, of: Generation): Promise<PlanSummary | undefined> {
  return (await getJson<StoredPlan>(store, planPath(of)))?.summary;
}

function summaryOf({ reason, estimatedRows }: PlanInput, partitions: number): PlanSummary {
  const pages = Math.ceil(partitions / PAGE_SIZE);
  return { partitions, pages, reason, ...(estimatedRows !== undefined && { estimatedRows }) };
}

/** Answers with how many partitions there were. One page at a time is in memory. */
async function putPages(
  store: ObjectStore,
  of: Generation,
  planning: string,
  partitions: PlanInput['partitions'],
): Promise<number> {
  let [page, count] = [0, 0];
  for await (const each of pagesOf(of.table, partitions)) {
    await putJson(store, pagePath(of, planning, page++), each);
    count += each.length;
  }
  return count;
}

/** Throws PlanChanged when the plan has no such partition. */
export async function readPartition(store: ObjectStore, of: Generation, ordinal: number): Promise<Partition> {
  const [partition] = await readPartitions(store, of, [ordinal]);
  if (partition) return partition;
  const message = `The stored plan of ${of.table} in run ${of.run} has no partition ${ordinal}.`;
  throw new LonghaulError('PlanChanged', message, { next: 'Start the job again without `resume`.' });
}

/** Those that the plan has, in order; each page is read once. */
export async function readPartitions(
  store: ObjectStore,
  of: Generation,
  ordinals: readonly number[],
): Promise<Partition[]> {
  const plan = await getJson<StoredPlan>(store, planPath(of));
  if (!plan) return [];
  const wanted = new Set(ordinals.filter((ordinal) => ordinal >= 0 && ordinal < plan.summary.partitions));
  const pages = new Set([...wanted].map((ordinal) => Math.floor(ordinal / PAGE_SIZE)));
  const found: Partition[] = [];
  for (const page of [...pages].sort((a, b) => a - b)) {
    const partitions = await needJson<Partition[]>(store, pagePath(of, plan.planning, page));
    found.push(...partitions.filter(({ ordinal }) => wanted.has(ordinal)));
  }
  return found;
}
