import type { ReceiptTotals } from '../../core/model.js';
import {
  VISIBLE_RANGES,
  type LastPublished,
  type OrdinalRange,
  type PartitionOutcome,
  type TableOverview,
} from '../types.js';
import { someQuarantined } from '../state-sums.js';
import type { LedgerEntry } from './server.js';

/** What the ledger's entries add up to. */

export function totalsOf(entry: LedgerEntry, limit: number): ReceiptTotals {
  const receipts = [...entry.receipts.values()];
  const sum = (of: 'rows' | 'bytes' | 'quarantined') =>
    receipts.reduce((total, receipt) => total + (receipt[of] ?? 0), 0);
  const committed = receipts.filter(({ state }) => state === 'committed').length;
  const missing = pendingOf(entry).slice(0, limit);
  const counts = { committed, skipped: receipts.length - committed, rows: sum('rows') };
  return { ...counts, ...someQuarantined(sum('quarantined')), bytes: sum('bytes'), missing };
}

export function pendingOf({ plan, receipts }: LedgerEntry): number[] {
  return (plan?.partitions ?? []).map(({ ordinal }) => ordinal).filter((ordinal) => !receipts.has(ordinal));
}

export function outcomesOf({ plan, receipts }: LedgerEntry, ordinals: readonly number[]): PartitionOutcome[] {
  const wanted = new Set(ordinals);
  const partitions = (plan?.partitions ?? []).filter(({ ordinal }) => wanted.has(ordinal));
  return partitions.map(({ ordinal, label }) => {
    const receipt = receipts.get(ordinal);
    return { ordinal, label, ...(receipt && { receipt }) };
  });
}

export function lastPublishedOf(
  entries: readonly LedgerEntry[],
  run: string | undefined,
  targets: readonly string[],
): LastPublished[] {
  const published = entries
    .filter(({ record: { state, spec, run: of } }) => state === 'published' && spec.mode === 'replace' && of !== run)
    .sort((a, b) => b.changedAt - a.changedAt);
  return targets.flatMap((to) => {
    const last = published.find(({ record }) => record.spec.to === to);
    if (last?.plan === undefined || last.record.spec.queries === undefined) return [];
    const publishedAt = new Date(last.changedAt).toISOString();
    return [{ to, run: last.record.run, queries: last.plan.summary.partitions, publishedAt }];
  });
}

export function tableOverview(entry: LedgerEntry, staged: number | undefined, sizes: boolean): TableOverview {
  const { record, plan, changedAt } = entry;
  const { spec, state, staging } = record;
  const { rows, bytes, committed, skipped, quarantined = 0 } = totalsOf(entry, 0);
  const visible = [...entry.receipts.values()].filter((receipt) => receipt.state === 'committed');
  const partial = spec.publish === 'partition' && state !== 'published';
  return {
    ...{ spec: spec.queries ? { ...spec, queries: [] } : spec, state, changedAt: new Date(changedAt).toISOString() },
    ...(plan && { partitions: plan.summary.partitions }),
    ...{ committed, skipped, rows, ...someQuarantined(quarantined), bytes },
    ...(staged !== undefined && { staging: { name: staging, ...(sizes && { bytes: staged }) } }),
    ...(partial && { visible: rangesOf(visible.map(({ ordinal }) => ordinal)).slice(0, VISIBLE_RANGES) }),
  };
}

function rangesOf(ordinals: readonly number[]): OrdinalRange[] {
  const ranges: [number, number][] = [];
  for (const ordinal of [...ordinals].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last?.[1] === ordinal - 1) last[1] = ordinal;
    else ranges.push([ordinal, ordinal]);
  }
  return ranges;
}
