import { expandTables, type ExpandedTable } from '../src/config/expand.js';
import { parseJob } from '../src/config/job.js';
import { shortHash } from '../src/connectors/hash.js';
import {
  findingToProblem,
  type Connector,
  type DestinationSession,
  type Finding,
  type NewTableRecord,
  type SourceSession,
} from '../src/connectors/types.js';
import type { Problem } from '../src/core/errors.js';
import type { Job } from '../src/core/model.js';
import type { Attempt } from './attempt.js';
import { unknownConnection, type Dependencies } from './dependencies.js';

export interface CheckedJob {
  /** Present only when there is no problem. */
  readonly job?: Job;
  /** One for each table of `job`, in its order. */
  readonly records: readonly NewTableRecord[];
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

/**
 * All that can be wrong with a job, at once: the file, its connections, the servers, and every table on both sides. Reads
 * catalogs and writes nothing. What can't be asked because of an earlier problem (no connection, no table) is left out.
 */
export async function checkJob(deps: Dependencies, raw: unknown, running: Attempt): Promise<CheckedJob> {
  const parsed = parseJob(raw);
  const { compiled } = parsed;
  if (compiled === undefined) return { records: [], problems: parsed.problems, warnings: parsed.warnings };
  const unknown = connectionProblems(deps, compiled);
  if (unknown.length > 0) return { records: [], problems: [...parsed.problems, ...unknown], warnings: parsed.warnings };
  running.meter.phase = 'checking';
  await using source = await deps.connectors.get(compiled.source)!.openSource(running.session());
  await using destination = await deps.connectors.get(compiled.destination)!.openDestination(running.session());
  const expanded = await expandTables(parsed, (pattern) => source.expand(pattern));
  const findings = new Findings(expanded.problems, expanded.warnings);
  findings.add('source', await source.checkServer());
  findings.add('destination', await destination.checkServer());
  const records = await checkTables(compiled.source, { source, destination }, expanded.tables, findings);
  const { problems, warnings } = findings;
  return { ...(expanded.job && problems.length === 0 && { job: expanded.job }), records, problems, warnings };
}

interface Sessions {
  readonly source: SourceSession;
  readonly destination: DestinationSession;
}

async function checkTables(
  sourceName: string,
  sessions: Sessions,
  tables: readonly ExpandedTable[],
  findings: Findings,
): Promise<NewTableRecord[]> {
  const records: NewTableRecord[] = [];
  for (const table of tables) {
    const record = await checkTable(sourceName, sessions, table, findings);
    if (record !== undefined) records.push(record);
  }
  return records;
}

function connectionProblems(
  { connectors }: Dependencies,
  job: Pick<Job, 'source' | 'destination' | 'consistency'>,
): Problem[] {
  const fix = `the worker's longhaul.yaml has: ${[...connectors.keys()].join(', ') || 'none'}`;
  return (['source', 'destination'] as const).flatMap((path) => {
    const connector = connectors.get(job[path]);
    if (connector === undefined)
      return [{ path, message: lowerFirst(unknownConnection(job[path], connectors.keys())), fix }];
    if (connector.capabilities[path]) return path === 'source' ? snapshotProblems(connector, job) : [];
    return [
      { path, message: `a connection of type ${connector.type} can not be a ${path}`, fix: 'name another connection' },
    ];
  });
}

function snapshotProblems(connector: Connector, { consistency }: Pick<Job, 'consistency'>): Problem[] {
  if (consistency !== 'snapshot' || connector.openSnapshots !== undefined) return [];
  const { name, type } = connector;
  const message = `connection ${JSON.stringify(name)} can't hold a snapshot: it is of type ${type}`;
  return [{ path: 'consistency', message, fix: 'write consistency: per-partition, and read what that means' }];
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

/** Sorts findings into problems and warnings, each with its place in the job file. */
class Findings {
  readonly problems: Problem[];
  readonly warnings: Problem[];

  constructor(problems: readonly Problem[], warnings: readonly Problem[]) {
    this.problems = [...problems];
    this.warnings = [...warnings];
  }

  add(path: string, findings: readonly Finding[]): void {
    for (const finding of findings)
      (finding.severity === 'problem' ? this.problems : this.warnings).push(findingToProblem(path, finding));
  }
}

async function checkTable(
  sourceName: string,
  { source, destination }: Sessions,
  { path, spec }: ExpandedTable,
  findings: Findings,
): Promise<NewTableRecord | undefined> {
  const described = await source.describe(spec);
  findings.add(path, described.findings);
  const { table } = described;
  if (table === undefined) return undefined;
  const { format, fingerprint: target, findings: found } = await destination.check(spec, table);
  findings.add(path, found);
  if (format === undefined) return undefined;
  const { shape, columns, identity } = table;
  const fingerprint = {
    specification: shortHash(JSON.stringify(spec)),
    source: shortHash(identity),
    sourceShape: shortHash(JSON.stringify(shape)),
    target,
  };
  return { spec, source: sourceName, shape, columns, format, fingerprint };
}
