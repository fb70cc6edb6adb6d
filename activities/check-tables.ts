import type { ExpandedTable } from '../src/config/expand.js';
import { shortHash } from '../src/connectors/hash.js';
import type { Connector, DestinationSession, Finding, NewTableRecord, SourceSession } from '../src/connectors/types.js';
import { LonghaulError } from '../src/core/errors.js';
import type { TableShape, TableSpec } from '../src/core/model.js';
import { comparedShape } from '../src/core/resume.js';
import type { Attempt } from './attempt.js';

/** Sessions of one lane of the check. Without a destination only what the source says is checked. */
export interface Sessions {
  readonly source: SourceSession;
  readonly destination: DestinationSession | undefined;
}

export interface CheckedTable {
  readonly findings: readonly Finding[];
  /** Absent when something is wrong. */
  readonly record?: NewTableRecord;
  /** See `SourceTable.bytes`. */
  readonly bytes?: number;
}

/** A table costs some twenty round trips: over a long line, a lane of sessions for so many tables keeps a check below a minute. */
const TABLES_PER_LANE = 25;
const MOST_LANES = 8;

/** Checks every table on both sides; the answers are in the order of the tables. `more` opens the sessions of further lanes. */
export async function checkTables(
  sourceName: string,
  first: Sessions,
  tables: readonly ExpandedTable[],
  more: (work: (sessions: Sessions) => Promise<void>) => Promise<void>,
): Promise<CheckedTable[]> {
  const results = new Array<CheckedTable>(tables.length);
  const queue = tables.entries();
  const work = async (sessions: Sessions): Promise<void> => {
    for (const [index, { spec }] of queue) results[index] = await checkTable(sourceName, sessions, spec);
  };
  const lanes = Math.min(MOST_LANES, Math.ceil(tables.length / TABLES_PER_LANE));
  const others = Array.from({ length: Math.max(0, lanes - 1) }, () => more(work));
  // All of them end before any error is thrown: their sessions are theirs.
  const ended = await Promise.allSettled([work(first), ...others]);
  for (const end of ended) if (end.status === 'rejected') throw end.reason;
  return results;
}

/** Another lane: sessions of its own, for as long as there are tables left. Where none is to be had, the other lanes do its work. */
export function laneOf(
  { source, destination }: { readonly source: Connector; readonly destination: Connector | undefined },
  running: Attempt,
): (work: (sessions: Sessions) => Promise<void>) => Promise<void> {
  return async (work) => {
    let begun = false;
    // One of its own: a signal that everybody listens to warns of a leak.
    const options = { ...running.session(), signal: AbortSignal.any([running.signal]) };
    try {
      await using from = await source.openSource(options);
      await using to = await destination?.openDestination(options);
      begun = true;
      await work({ source: from, destination: to });
    } catch (error) {
      const away = error instanceof LonghaulError && error.handling === 'connection';
      if (begun || !away) throw error;
      running.log.info({ reason: error.message }, 'The check goes on with fewer sessions');
    }
  };
}

async function checkTable(
  sourceName: string,
  { source, destination }: Sessions,
  spec: ExpandedTable['spec'],
): Promise<CheckedTable> {
  const { table, findings } = await source.describe(spec);
  if (table === undefined || destination === undefined) return { findings };
  const { format, fingerprint: target, findings: met, shape = table.shape } = await destination.check(spec, table);
  const all = [...findings, ...met];
  const size = table.bytes === undefined ? {} : { bytes: table.bytes };
  if (format === undefined) return { findings: all, ...size };
  const { identity } = table;
  const columns = table.inferred ? copiedOf(shape) : table.columns;
  const fingerprint = {
    specification: shortHash(JSON.stringify(declaredOf(spec))),
    source: shortHash(identity),
    sourceShape: shortHash(JSON.stringify(comparedShape(shape))),
    target,
  };
  return { findings: all, ...size, record: { spec, source: sourceName, shape, columns, format, fingerprint } };
}

/** What the job says of a table: what a list says is no part of it, since a run keeps the queries that it was opened with. */
function declaredOf(spec: TableSpec): Partial<TableSpec> {
  if (spec.queriesFrom === undefined) return spec;
  const { queries: _queries, partition: _partition, ...declared } = spec;
  return declared;
}

/** Of a source that gives what its target has. */
function copiedOf({ columns }: TableShape): string[] {
  return columns.filter(({ generated }) => !generated).map(({ name }) => name);
}
