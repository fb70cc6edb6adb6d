import type { LonghaulActivities, PartitionDifference, PartitionsCompared } from '../src/core/activities.js';
import { addDigested, verdictOf, type Copied, type Digested, type Verdict } from '../src/core/digest.js';
import { LonghaulError } from '../src/core/errors.js';
import type { Partition, Receipt, TableRecord } from '../src/core/model.js';
import { counted } from '../src/core/text.js';
import type { Digester, TableDigester } from '../src/connectors/digester.js';
import type { Difference } from '../src/connectors/types.js';
import type { Dependencies } from './dependencies.js';
import { openSourceDigester, openTableDigester } from './digests.js';
import { differingKeys } from './sample-keys.js';
import { atDestination, openSource, type OpenTable } from './sessions.js';

type Input = Parameters<LonghaulActivities['comparePartitions']>[0];

/** Partitions whose digests are taken in one pass over the target. */
const PASS = 200;
/** Differing partitions that are told, and of these, ones whose rows are looked for. */
const TOLD = 20;
const SAMPLED = 3;

interface Compared {
  readonly partition: Partition;
  readonly source: Digested;
  readonly copied: Copied;
  readonly target: Digested | undefined;
  readonly verdict: Verdict;
}

/** Partitions as source and target have them now, beside what the receipts say was copied. */
export function comparePartitions(deps: Dependencies, input: Input): Promise<PartitionsCompared> {
  return atDestination(deps, input, async (open) => {
    const { session, running } = open;
    // Of a run's snapshot nothing is left: the source is read as it is now.
    const { snapshot: _, ...record } = open.record;
    await using source = await openSource(deps, input, running);
    const { form, digester: target } = await openTableDigester(session, record);
    const sides = { source: openSourceDigester(source, record, form), target };
    const { compared, skipped } = await compareAll(open, record, sides, input);
    const differing = compared.filter(({ verdict }) => verdict !== 'equal');
    const found = await sample(open, record, sides, differing, input);
    return { ...sums(target.form, compared), ...told(differing, found), ...(skipped > 0 && { skipped }) };
  });
}

interface Sides {
  readonly source: Digester;
  readonly target: TableDigester;
}

/** All but what was skipped on a person's word: what the target has in its place is not the copy's doing. */
async function compareAll(
  open: OpenTable,
  record: TableRecord,
  sides: Sides,
  input: Input,
): Promise<{ compared: Compared[]; skipped: number }> {
  const { ledger } = open.session;
  const compared: Compared[] = [];
  let skipped = 0;
  for (let from = input.from; from < input.to; from += PASS) {
    const to = Math.min(from + PASS, input.to);
    const found = await ledger.receipts(input.run, input.table, from, to);
    if (found.length < to - from) throw receiptsGone(input, to - from - found.length);
    const receipts = found.filter(({ state }) => state === 'committed');
    skipped += found.length - receipts.length;
    const partitions: Partition[] = [];
    for (const { ordinal } of receipts) partitions.push(await ledger.partition(input.run, input.table, ordinal));
    compared.push(...(await comparePass(open, record, sides, { receipts, partitions, divided: input.divided })));
  }
  return { compared, skipped };
}

/** What is compared is found by its receipts: without them, nothing would be equal to nothing. */
function receiptsGone({ run, table, destination }: Input, missing: number): LonghaulError {
  const message = `The ledger of connection "${destination}" lacks the receipts of ${counted(missing, 'partition')} of ${table} in run ${run}: what was copied can't be told any more, and the table was not compared.`;
  return new LonghaulError('PlanChanged', message, { next: 'Copy the table anew to have it verified.' });
}

interface Pass {
  readonly receipts: readonly Receipt[];
  /** Those of the receipts, in their order. */
  readonly partitions: readonly Partition[];
  readonly divided: boolean;
}

async function comparePass(
  { running }: OpenTable,
  { spec }: TableRecord,
  { source, target }: Sides,
  { receipts, partitions, divided }: Pass,
): Promise<Compared[]> {
  running.meter.phase = 'digesting the target';
  const targets = divided && partitions.length > 0 ? await target.each(partitions) : [];
  running.meter.phase = 'digesting the source';
  const compared: Compared[] = [];
  for (const [index, partition] of partitions.entries()) {
    const receipt = receipts[index]!;
    const now = await source.digest(partition);
    const copied = copiedOf(receipt, source.form);
    running.meter.rows += now.rows;
    const found = targets[index];
    const verdict = verdictOf(now, copied, found ?? asCopied(copied, now), spec.mode === 'append');
    compared.push({ partition, source: now, copied, target: found, verdict });
  }
  return compared;
}

/** A digest of another form says nothing of the rows as they are digested now. */
function copiedOf({ rows, digest }: Receipt, form: string): Copied {
  return digest?.startsWith(`${form}:`) ? { rows, digest } : { rows };
}

/** In the place of a target that can't be divided: the source alone is compared with what was copied. */
function asCopied({ rows, digest }: Copied, source: Digested): Digested {
  return { rows, digest: digest ?? source.digest };
}

function sums(form: string, compared: readonly Compared[]): Pick<PartitionsCompared, 'source' | 'copied' | 'target'> {
  const source = addDigested(
    form,
    compared.map((each) => each.source),
  );
  const targets = compared.flatMap(({ target }) => target ?? []);
  const complete = compared.flatMap(({ copied: { rows, digest } }) => (digest === undefined ? [] : [{ rows, digest }]));
  const copied: Copied =
    complete.length === compared.length
      ? addDigested(form, complete)
      : { rows: compared.reduce((total, each) => total + each.copied.rows, 0) };
  return { source, copied, ...(targets.length === compared.length && { target: addDigested(form, targets) }) };
}

/** Keys of rows that differ, kept at the destination: they are customers' data. What earlier looks found there is gone. */
async function sample(
  { session, running }: OpenTable,
  { run, spec, shape, columns }: TableRecord,
  sides: Sides,
  differing: readonly Compared[],
  { from, to, divided, keys }: Input,
): Promise<readonly Difference[]> {
  const named = shape.primaryKey.length > 0 && shape.primaryKey.every((name) => columns.includes(name));
  const found: Difference[] = [];
  running.meter.phase = 'looking for rows that differ';
  for (const { partition, source, target, verdict } of named && divided ? differing.slice(0, SAMPLED) : []) {
    if (verdict === 'undecided') continue;
    const rows = Math.max(source.rows, target?.rows ?? 0);
    found.push(...(await differingKeys(partition, sides, rows, keys)));
  }
  await session.ledger.putDifferences(run, spec.table, from, to, found);
  return found;
}

function told(
  differing: readonly Compared[],
  found: readonly Difference[],
): Pick<PartitionsCompared, 'differing' | 'more'> {
  const first = differing
    .slice(0, TOLD)
    .map(({ partition: { ordinal, label }, verdict, source, copied, target }): PartitionDifference => ({
      ...{ ordinal, label, verdict, source: source.rows, copied: copied.rows },
      ...(target && { target: target.rows }),
      keys: found.filter((difference) => difference.ordinal === ordinal).length,
    }));
  return { differing: first, more: differing.length - first.length };
}
