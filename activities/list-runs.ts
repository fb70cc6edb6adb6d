import type { LedgerView, RunsQuery, RunView, TableView } from '../src/core/activities.js';
import { LonghaulError } from '../src/core/errors.js';
import { bounded } from '../src/core/text.js';
import type { Connector, RunOverview, RunQuery, TableOverview } from '../src/connectors/types.js';
import { attempt, type Attempt } from './attempt.js';
import { connectorOf, type Dependencies } from './dependencies.js';

/** A payload is at most 2 MB: so many runs, each with so many tables of some 200 bytes. */
const MOST_RUNS = 500;
const LISTED_TABLES = 5;

/** What the ledgers of the worker's destinations, or of one, know of runs. */
export function listRuns(deps: Dependencies, query: RunsQuery): Promise<{ ledgers: readonly LedgerView[] }> {
  return attempt(deps, {}, async (running) => {
    running.meter.phase = 'reading ledgers';
    if (query.destination !== undefined)
      return { ledgers: [await ledgerView(connectorOf(deps, query.destination), query, running)] };
    const destinations = [...deps.connectors.values()].filter(({ capabilities }) => capabilities.destination);
    const ledgers: LedgerView[] = [];
    for (const connector of destinations) ledgers.push(await viewOrProblem(connector, query, running));
    return { ledgers };
  });
}

async function viewOrProblem(connector: Connector, query: RunsQuery, running: Attempt): Promise<LedgerView> {
  try {
    return await ledgerView(connector, query, running);
  } catch (error) {
    if (running.signal.aborted || !(error instanceof LonghaulError)) throw error;
    return { destination: connector.name, runs: [], more: false, orphans: [], problem: bounded(error.message, 500) };
  }
}

async function ledgerView(connector: Connector, query: RunsQuery, running: Attempt): Promise<LedgerView> {
  await using session = await connector.openDestination(running.session());
  const limit = Math.min(query.limit, MOST_RUNS);
  const { run, unchangedFor } = query;
  const asked: RunQuery = {
    limit: limit + 1,
    ...(run !== undefined && { run }),
    ...(unchangedFor !== undefined && { unchangedFor }),
  };
  const found = await session.ledger.runs(asked);
  const tables = run === undefined ? LISTED_TABLES : undefined;
  return {
    destination: connector.name,
    runs: found.slice(0, limit).map((each) => runView(each, tables)),
    more: found.length > limit,
    orphans: query.orphans === true ? ((await session.orphans?.()) ?? []).slice(0, MOST_RUNS) : [],
  };
}

function runView(overview: RunOverview, listed: number | undefined): RunView {
  const { run, job, startedAt = '', forgottenAt, tables } = overview;
  const states: Record<string, number> = {};
  for (const { state } of tables) states[state] = (states[state] ?? 0) + 1;
  const sum = (of: (table: TableOverview) => number) => tables.reduce((total, table) => total + of(table), 0);
  return {
    ...{ run, job, startedAt, states, ...keptUntil(overview), ...(forgottenAt !== undefined && { forgottenAt }) },
    changedAt: tables.reduce((latest, { changedAt }) => latestOf(latest, changedAt), startedAt),
    rows: sum(({ rows }) => rows),
    stagingBytes: sum(({ staging }) => staging?.bytes ?? 0),
    tables: tables.slice(0, listed).map(tableView),
  };
}

function latestOf(one: string, other: string): string {
  return Date.parse(one) > Date.parse(other) ? one : other;
}

/** The first of its suspended tables whose time is over. */
function keptUntil({ keepStaging, tables }: RunOverview): { keptUntil?: string } {
  const suspended = tables.filter(({ state, staging }) => state === 'suspended' && staging !== undefined);
  if (keepStaging === undefined || suspended.length === 0) return {};
  const first = Math.min(...suspended.map(({ changedAt }) => Date.parse(changedAt)));
  return { keptUntil: new Date(first + keepStaging).toISOString() };
}

function tableView(overview: TableOverview): TableView {
  const { spec, state, partitions, committed, rows, staging } = overview;
  const visible = visibleText(overview);
  return {
    ...{ table: spec.table, to: spec.to, state, committed, rows },
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
