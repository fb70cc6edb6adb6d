import type { TableRef, VerifyOutcome } from '../src/core/activities.js';
import type { Copied, Digested } from '../src/core/digest.js';
import { LonghaulError } from '../src/core/errors.js';
import { reach } from '../src/core/fail-points.js';
import type { Partition, Receipt } from '../src/core/model.js';
import { counted } from '../src/core/text.js';
import type { TableDigester } from '../src/connectors/digester.js';
import { copiedTotals, NOT_REPEATABLE, openTableDigester } from './digests.js';
import type { Dependencies } from './dependencies.js';
import { atDestination, type OpenTable } from './sessions.js';

/** Missing partitions told at once; the rest is found when these are there. */
const MISSING_LIMIT = 1_000;
/** Partitions whose digests are taken in one pass over staging. */
const PASS = 200;
/** Partitions named in an error. */
const NAMED = 10;

/**
 * Compares what was loaded with what the source's digests in the receipts say, before anything is published. Receipts that the ledger
 * lacks go back to the workflow.
 */
export function verifyTable(deps: Dependencies, ref: TableRef): Promise<VerifyOutcome> {
  return atDestination(deps, ref, async (open) => {
    const { session, record, running } = open;
    const { missing, rows } = await session.ledger.totals(ref.run, ref.table, MISSING_LIMIT);
    if (missing.length > 0) return { outcome: 'missing', ordinals: missing };
    if (record.state === 'published') return { outcome: 'verified', rows };
    await reach('verify: before digest');
    running.meter.phase = 'digesting what was loaded';
    const { digester } = await openTableDigester(session, record);
    const loaded = await digester.whole();
    const plan = await session.ledger.plan(ref.run, ref.table);
    const copied = await copiedTotals(session, record, digester.form, plan?.partitions ?? 0);
    if (loaded.rows !== copied.rows || loaded.digest !== copied.digest) {
      running.meter.phase = 'finding the partitions that differ';
      throw mismatch(open, { loaded, copied }, await whichDiffer(open, digester, plan?.partitions ?? 0));
    }
    await reach('verify: before answer');
    return { outcome: 'verified', rows };
  });
}

/** Partitions whose rows in staging are not those of their receipts, or why that can't be told. */
async function whichDiffer(
  { session, record }: OpenTable,
  digester: TableDigester,
  partitions: number,
): Promise<{ labels: readonly string[]; why?: string }> {
  const { run, spec } = record;
  const read = (ordinal: number) => session.ledger.partition(run, spec.table, ordinal);
  const why = partitions === 0 ? 'there are none' : digester.undivided(await read(0), await read(partitions - 1));
  if (why !== undefined) return { labels: [], why };
  const labels: string[] = [];
  for (let from = 0; from < partitions && labels.length <= NAMED; from += PASS) {
    const receipts = await session.ledger.receipts(run, spec.table, from, from + PASS);
    const parts: Partition[] = [];
    for (const { ordinal } of receipts) parts.push(await read(ordinal));
    const found = await digester.each(parts);
    labels.push(...parts.filter((_, index) => !isAsCopied(receipts[index]!, found[index]!)).map(({ label }) => label));
  }
  return { labels };
}

function isAsCopied({ state, rows, digest }: Receipt, found: Digested): boolean {
  if (state === 'skipped') return found.rows === 0;
  return found.rows === rows && found.digest === digest;
}

function mismatch(
  { record }: OpenTable,
  { loaded, copied }: { loaded: Digested; copied: Copied },
  { labels, why }: { labels: readonly string[]; why?: string },
): LonghaulError {
  const { spec, staging } = record;
  const what =
    copied.digest === undefined
      ? 'not all receipts have a digest to compare with'
      : `${counted(copied.rows, 'row')} were read at the source and ${counted(loaded.rows, 'row')} lie in ${staging}, with other content`;
  const hint = spec.queries === undefined && spec.where === undefined ? '' : ` ${NOT_REPEATABLE}`;
  return new LonghaulError(
    'DigestMismatch',
    `What was loaded for ${spec.to} is not what was read: ${what}. ${partsText(labels, why)} Nothing was published, and the target was left as it was.`,
    {
      next: `Look for what writes to ${staging}, or for a trigger or rule that changes rows; then start the job anew.${hint}`,
    },
  );
}

function partsText(labels: readonly string[], why: string | undefined): string {
  if (why !== undefined) return `Which partitions differ can't be told, since ${why}.`;
  if (labels.length === 0) return 'No partition differs by itself: rows that are in no partition were added.';
  const more = labels.length > NAMED ? ' and others' : '';
  return `It differs in ${labels.length === 1 ? 'partition' : 'partitions'} ${labels.slice(0, NAMED).join(', ')}${more}.`;
}
