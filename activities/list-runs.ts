import type { LedgerView, PartitionView, RunsQuery, RunView, TableView } from '../src/core/activities.js';
import { LonghaulError } from '../src/core/errors.js';
import { bounded, utf8Length } from '../src/core/text.js';
import type {
  Connector,
  Ledger,
  PartitionOutcome,
  RunOverview,
  RunQuery,
  TableOverview,
} from '../src/connectors/types.js';
import { attempt, type Attempt } from './attempt.js';
import { connectorOf, type Dependencies } from './dependencies.js';

/** Bytes of one answer, over all ledgers: a payload is at most 2 MB. */
const ANSWER_BYTES = 1_500_000;
const MOST_RUNS = 500;
const LISTED_TABLES = 5;

/** What the ledgers of the worker's destinations, or of one, know of runs. */
export function listRuns(deps: Dependencies, query: RunsQuery): Promise<{ ledgers: readonly LedgerView[] }> {
  return attempt(deps, {}, async (running) => {
    running.meter.phase = 'reading ledgers';
    if (query.destination !== undefined)
      return { ledgers: [await ledgerView(connectorOf(deps, query.destination), query, running, ANSWER_BYTES)] };
    const destinations = [...deps.connectors.values()].filter(({ capabilities }) => capabilities.destination);
    const ledgers: LedgerView[] = [];
    const share = ANSWER_BYTES / destinations.length;
    for (const connector of destinations) ledgers.push(await viewOrProblem(connector, query, running, share));
    return { ledgers };
  });
}

async function viewOrProblem(
  connector: Connector,
  query: RunsQuery,
  running: Attempt,
  share: number,
): Promise<LedgerView> {
  try {
    return await ledgerView(connector, query, running, share);
  } catch (error) {
    if (running.signal.aborted || !(error instanceof LonghaulError)) throw error;
    return { destination: connector.name, runs: [], more: false, orphans: [], problem: bounded(error.message, 500) };
  }
}

async function ledgerView(
  connector: Connector,
  query: RunsQuery,
  running: Attempt,
  share: number,
): Promise<LedgerView> {
  await using session = await connector.openDestination(running.session());
  const limit = Math.min(query.limit, MOST_RUNS);
  const { run, unchangedFor } = query;
  const asked: RunQuery = {
    limit: limit + 1,
    ...(run === undefined ? { tables: LISTED_TABLES } : { run }),
    ...(unchangedFor !== undefined && { unchangedFor }),
  };
  const found = await session.ledger.runs(asked);
  const orphans = query.orphans === true ? ((await session.orphans?.()) ?? []) : [];
  const runs = fitting(
    found.slice(0, limit).map((each) => runView(each, (share * 3) / 4)),
    (share * 3) / 4,
  );
  const more = found.length > runs.length;
  const table = found[0]?.tables.find(({ spec }) => spec.table === query.table);
  const partitions = run !== undefined && table && (await partitionsOf(session.ledger, run, table));
  const shown = partitions && { partitions: fitting(partitions, share - utf8Length(JSON.stringify(runs))) };
  return { destination: connector.name, runs, more, orphans: fitting(orphans, share / 4), ...shown };
}

/** Asked for at a time. */
const OUTCOMES = 5_000;

async function partitionsOf(ledger: Ledger, run: string, { spec, partitions = 0 }: TableOverview) {
  const views: PartitionView[] = [];
  for (let from = 0; from < partitions; from += OUTCOMES) {
    const ordinals = Array.from({ length: Math.min(OUTCOMES, partitions - from) }, (_, index) => from + index);
    views.push(...(await ledger.outcomes(run, spec.table, ordinals)).map(partitionView));
  }
  return views;
}

function partitionView({ label, receipt }: PartitionOutcome): PartitionView {
  if (receipt === undefined) return { partition: label, state: 'open', rows: 0, bytes: 0, seconds: 0 };
  const { state, rows, bytes, startedAt, committedAt } = receipt;
  return { partition: label, state, rows, bytes, seconds: (Date.parse(committedAt) - Date.parse(startedAt)) / 1000 };
}

/** The first of them, as many as have room in so many bytes of JSON. */
function fitting<T>(items: readonly T[], bytes: number): T[] {
  let used = 0;
  const past = items.findIndex((item) => (used += Buffer.byteLength(JSON.stringify(item)) + 1) > bytes);
  return items.slice(0, past === -1 ? items.length : past);
}

/** Room for what is said of a run beside its tables. */
const HEAD_BYTES = 4_000;

function runView(overview: RunOverview, share: number): RunView {
  const { run, job, startedAt = '', forgottenAt, sums, tables } = overview;
  return {
    ...{ run, job, startedAt, ...keptUntil(overview), ...(forgottenAt !== undefined && { forgottenAt }) },
    states: Object.fromEntries(sums.map(({ state, tables: count }) => [state, count])),
    changedAt: sums.reduce((latest, { changedAt }) => latestOf(latest, changedAt), startedAt),
    rows: sums.reduce((total, { rows }) => total + rows, 0),
    ...someSkipped(sums.reduce((total, { skipped }) => total + skipped, 0)),
    ...someQuarantined(sums.reduce((total, { quarantined = 0 }) => total + quarantined, 0)),
    stagingBytes: sums.reduce((total, { stagingBytes }) => total + stagingBytes, 0),
    tables: fitting(tables.map(tableView), share - HEAD_BYTES),
  };
}

function someSkipped(skipped: number): { skipped?: number } {
  return skipped === 0 ? {} : { skipped };
}

function someQuarantined(quarantined: number): { quarantined?: number } {
  return quarantined === 0 ? {} : { quarantined };
}

function latestOf(one: string, other: string): string {
  return Date.parse(one) > Date.parse(other) ? one : other;
}

/** The first of its suspended tables whose time is over. */
function keptUntil({ keepStaging, sums }: RunOverview): { keptUntil?: string } {
  const since = sums.find(({ state }) => state === 'suspended')?.stagedSince;
  if (keepStaging === undefined || since === undefined) return {};
  return { keptUntil: new Date(Date.parse(since) + keepStaging).toISOString() };
}

function tableView(overview: TableOverview): TableView {
  const { spec, state, partitions, committed, skipped, rows, quarantined = 0, staging } = overview;
  const visible = visibleText(overview);
  return {
    ...{ table: spec.table, to: spec.to, state, committed, rows },
    ...{ ...someSkipped(skipped), ...someQuarantined(quarantined) },
    ...(partitions !== undefined && { partitions }),
    ...(staging !== undefined && { staging }),
    ...(visible !== undefined && { visible }),
  };
}

/** `3 of 10 partitions are visible in dw.audit: 1-2, 5`; undefined where nothing is visible before all is. */
export function visibleText({ spec, committed, partitions = 0, visible }: TableOverview): string | undefined {
  if (visible === undefined || visible.length === 0) return undefined;
  const ranges = visible.map(([first, last]) => (first === last ? `${first + 1}` : `${first + 1}-${last + 1}`));
  const listed = visible.reduce((sum, [first, last]) => sum + last - first + 1, 0);
  const more = listed < committed ? ', …' : '';
  return `${committed} of ${partitions} partitions are visible in ${spec.to}: ${ranges.join(', ')}${more}`;
}
