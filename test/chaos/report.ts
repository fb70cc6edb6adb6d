import Table from 'cli-table3';
import { isClean } from './check.js';
import type { FaultKind } from './kind.js';
import type { Outcome } from './run.js';

/** The last line of a run, for programs. */
export interface Totals {
  readonly seed: number;
  /** Faults that the run was to have; 0: it was to have one job. */
  readonly wanted: number;
  readonly faults: number;
  readonly jobs: number;
  readonly missing: number;
  readonly duplicated: number;
  /** Staging tables, sessions and processes that nobody needs any more. */
  readonly leftovers: number;
  readonly partialReads: number;
  /** Jobs that have not ended well, or whose ledger does not add up. */
  readonly failed: number;
  /** Kinds of fault that had some jobs, and have struck in none: they prove nothing. */
  readonly idle: number;
  /** Kinds of fault that could not be done on this machine. */
  readonly skipped: number;
}

/** What a run was to do. */
export interface Asked {
  readonly seed: number;
  readonly wanted: number;
  /** Names of the kinds that could not be done. */
  readonly skipped: readonly string[];
}

/** Jobs in which a kind may be unlucky. */
const UNLUCKY = 2;

export function totals({ seed, wanted, skipped }: Asked, outcomes: readonly Outcome[], processesLeft: number): Totals {
  const sum = (of: (outcome: Outcome) => number) => outcomes.reduce((total, outcome) => total + of(outcome), 0);
  return {
    seed,
    wanted,
    faults: sum(({ faults }) => faults),
    jobs: outcomes.length,
    missing: sum(({ verdict }) => verdict.missing),
    duplicated: sum(({ verdict }) => verdict.duplicated),
    leftovers: processesLeft + sum(({ verdict }) => verdict.stagingLeft.length + verdict.sessionsLeft.length),
    partialReads: sum(({ verdict }) => verdict.partialReads.length),
    failed: sum(({ verdict }) => (!verdict.finished || verdict.problems.length > 0 ? 1 : 0)),
    idle: [...new Set(outcomes.map(({ kind }) => kind))].filter((kind) => isIdle(kind, outcomes)).length,
    skipped: skipped.length,
  };
}

function isIdle(name: string, outcomes: readonly Outcome[]): boolean {
  const own = outcomes.filter(({ kind }) => kind === name);
  return own.length > UNLUCKY && own.every(({ faults }) => faults === 0);
}

/** Whether everything is 0 that has to be, and anything has struck at all. */
export function holds({ faults, missing, duplicated, leftovers, partialReads, failed, idle }: Totals): boolean {
  return faults > 0 && missing + duplicated + leftovers + partialReads + failed + idle === 0;
}

/** Why a run that has found nothing is less than was asked for; undefined: it is not. */
export function shortfall({ wanted, faults }: Totals): string | undefined {
  if (faults >= wanted) return undefined;
  return `NOT A FULL RUN: ${faults} faults of ${wanted} have struck when the time was up (--minutes)`;
}

const HEAD = [
  'kind of fault',
  'injected',
  'jobs',
  'finished',
  'missing',
  'duplicated',
  'partial reads',
  'staging left',
  'sessions left',
];

export function table(
  kinds: readonly FaultKind[],
  outcomes: readonly Outcome[],
  skipped: readonly string[] = [],
): string {
  const lines = new Table({
    head: HEAD,
    style: { head: [], border: [] },
    colAligns: HEAD.map((_, n) => (n === 0 ? 'left' : 'right')),
  });
  for (const { name } of kinds) lines.push([name, ...cells(outcomes.filter(({ kind }) => kind === name))]);
  for (const name of skipped) lines.push([name, 'skipped', ...HEAD.slice(2).map(() => '')]);
  lines.push(['all', ...cells(outcomes)]);
  return lines.toString();
}

function cells(outcomes: readonly Outcome[]): number[] {
  const sum = (of: (outcome: Outcome) => number) => outcomes.reduce((total, outcome) => total + of(outcome), 0);
  return [
    sum(({ faults }) => faults),
    outcomes.length,
    sum(({ verdict }) => (verdict.finished ? 1 : 0)),
    sum(({ verdict }) => verdict.missing),
    sum(({ verdict }) => verdict.duplicated),
    sum(({ verdict }) => verdict.partialReads.length),
    sum(({ verdict }) => verdict.stagingLeft.length),
    sum(({ verdict }) => verdict.sessionsLeft.length),
  ];
}

/** From a worker's death to the next attempt at what it had, in a line; undefined when no worker died in mid-copy. */
export function recoveryLine(outcomes: readonly Outcome[]): string | undefined {
  const all = outcomes.flatMap(({ recoveries }) => recoveries).sort((a, b) => a - b);
  if (all.length === 0) return undefined;
  const at = (part: number) => (all[Math.min(all.length - 1, Math.floor(all.length * part))]! / 1000).toFixed(1);
  return `partitions of killed workers begun again: ${all.length}, after ${at(0.5)} s (median), ${at(0.95)} s (19 of 20), ${at(1)} s at most; heartbeat timeout 5 s`;
}

/** What went wrong in a job, and how to have it again. Undefined: nothing. */
export function complaint(seed: number, { kind, number, verdict }: Outcome): string | undefined {
  if (isClean(verdict)) return undefined;
  const { missing, duplicated, partialReads, stagingLeft, sessionsLeft, problems } = verdict;
  const lines = [
    ...(missing + duplicated > 0 ? [`${missing} rows missing, ${duplicated} duplicated`] : []),
    ...partialReads.map(
      (read) => `a ${read.isolation} reader saw ${read.old} old and ${read.rows} new rows of ${read.table}`,
    ),
    ...stagingLeft.map((name) => `staging left: ${name}`),
    ...sessionsLeft.map((name) => `session left: ${name}`),
    ...problems,
  ];
  return `${kind}, job ${number} of seed ${seed}:\n${lines.map((line) => `  ${line}`).join('\n')}`;
}
