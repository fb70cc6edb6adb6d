import { expandTables, type ExpandedJob, type ExpandedTable } from '../src/config/expand.js';
import type { CompiledJob } from '../src/config/compiled-job.js';
import { parseJob, type ParsedJob } from '../src/config/job.js';
import { useFinding } from '../src/connectors/target-use.js';
import type {
  Connector,
  DestinationSession,
  Finding,
  NewTableRecord,
  SourceSession,
  TargetUse,
} from '../src/connectors/types.js';
import type { Servers } from '../src/core/activities.js';
import type { Problem } from '../src/core/errors.js';
import type { Job } from '../src/core/model.js';
import type { Attempt } from './attempt.js';
import { connectorFor, told, type Tell } from './check-sides.js';
import { checkTables, laneOf, type CheckedTable } from './check-tables.js';
import type { Dependencies } from './dependencies.js';
import { Findings } from './findings.js';
import { serversOf } from './sessions.js';

export interface CheckedJob {
  /**
   * Present only when there is no problem but targets that other runs hold: these the ledger itself refuses, in the same step in which
   * it opens a run.
   */
  readonly job?: Job;
  readonly servers?: Servers;
  /** One for each table of `job`, in its order. */
  readonly records: readonly NewTableRecord[];
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

/** Which run asks: its own leases and rows are not in its way. */
export interface Asking {
  readonly run?: string;
  readonly tell: Tell;
}

/**
 * All that can be wrong with a job, at once: the file, its connections, the servers, and every table on both sides. Reads
 * catalogs and the ledger, and writes nothing. What can't be asked because of an earlier problem (no connection, no table) is left out.
 */
export async function checkJob(
  deps: Dependencies,
  raw: unknown,
  running: Attempt,
  asking: Asking,
): Promise<CheckedJob> {
  const parsed = parseJob(raw);
  const { compiled } = parsed;
  if (compiled === undefined) return { records: [], problems: parsed.problems, warnings: parsed.warnings };
  const findings = new Findings(parsed.problems, parsed.warnings);
  running.meter.phase = 'checking';
  const from = connectorFor(deps, 'source', compiled.source, findings);
  const to = connectorFor(deps, 'destination', compiled.destination, findings);
  const open = <T>(side: string, work: (() => Promise<T>) | undefined) =>
    work && told(findings, side, asking.tell, work);
  await using source = await open('source', from && (() => from.openSource(running.session())));
  await using destination = await open('destination', to && (() => to.openDestination(running.session())));
  findings.addProblems(from ? snapshotProblems(from, compiled) : []);
  const undigested = from && to && undigestedBetween(from, to);
  const check = new JobCheck({ compiled, parsed, source, destination, asking, undigested }, findings);
  await check.servers();
  if (from === undefined || source === undefined) return check.ended();
  return await check.tables(source, laneOf({ source: from, destination: destination && to }, running));
}

interface Checking {
  readonly compiled: CompiledJob;
  readonly parsed: ParsedJob;
  readonly source: SourceSession | undefined;
  readonly destination: DestinationSession | undefined;
  readonly asking: Asking;
  /** Why `verify: checksum` can't be had between the two connections. */
  readonly undigested: string | undefined;
}

function snapshotProblems(connector: Connector, { consistency }: Pick<Job, 'consistency'>): Problem[] {
  if (consistency !== 'snapshot' || connector.openSnapshots !== undefined) return [];
  const { name, type } = connector;
  const message = `connection ${JSON.stringify(name)} can't hold a snapshot: it is of type ${type}`;
  return [{ path: 'consistency', message, fix: 'write consistency: per-partition, and read what that means' }];
}

/** A checksum needs two connectors that digest rows in the same way. */
function undigestedBetween(from: Connector, to: Connector): string | undefined {
  const { digest } = from.capabilities;
  if (digest !== undefined && digest === to.capabilities.digest) return undefined;
  return `checksum can not be had from ${from.type} to ${to.type}`;
}

class JobCheck {
  /** Whether the ledger can be asked: what its role may do there is among the checks of the server. */
  #ledgerReadable = false;

  constructor(
    private readonly given: Checking,
    private readonly findings: Findings,
  ) {}

  async servers(): Promise<void> {
    const { source, destination, asking, compiled } = this.given;
    // Each partition has one session at each side.
    const demand = { sessions: compiled.parallelism };
    const ask = (side: 'source' | 'destination', session: SourceSession | DestinationSession) =>
      told(this.findings, side, asking.tell, async () => this.findings.add(side, await session.checkServer(demand)));
    if (source) await ask('source', source);
    const before = this.findings.count;
    if (destination) await ask('destination', destination);
    this.#ledgerReadable = destination !== undefined && this.findings.count === before;
  }

  async tables(source: SourceSession, lane: ReturnType<typeof laneOf>): Promise<CheckedJob> {
    const { compiled, parsed, destination } = this.given;
    const found = await expandTables(parsed, (pattern) => source.expand(pattern));
    this.findings.addProblems(found.problems.slice(parsed.problems.length));
    this.#digests(found.tables);
    const checked = await checkTables(compiled.source, { source, destination }, found.tables, lane);
    for (const [index, table] of checked.entries()) this.#add(found.tables[index]!, table.findings);
    if (destination === undefined) return this.ended();
    await this.#space(destination, found.tables, checked);
    const uses = await this.#uses(destination, found.tables);
    if (!this.given.compiled.again) this.#say(uses, 'appended', found.tables);
    const fit = this.findings.count === 0;
    this.#say(uses, 'held', found.tables);
    const records = checked.flatMap(({ record }) => (record === undefined ? [] : [record]));
    const rest = fit ? await this.#whole(found, source, destination) : {};
    return { ...this.ended(), ...rest, records };
  }

  #digests(tables: readonly ExpandedTable[]): void {
    const { undigested: message } = this.given;
    if (message === undefined) return;
    const finding: Finding = { severity: 'problem', path: 'verify', message, fix: 'write verify: counts' };
    for (const table of tables.filter(({ spec }) => spec.verify === 'checksum')) this.#add(table, [finding]);
  }

  ended(): CheckedJob {
    const { problems, warnings } = this.findings;
    return { records: [], problems, warnings };
  }

  async #whole({ job }: ExpandedJob, source: SourceSession, destination: DestinationSession) {
    return job && { job, servers: await serversOf(source, destination) };
  }

  async #space(
    destination: DestinationSession,
    tables: readonly ExpandedTable[],
    checked: readonly CheckedTable[],
  ): Promise<void> {
    const sizes = checked.map(({ bytes = 0 }, index) => ({ to: tables[index]!.spec.to, bytes }));
    this.findings.add('destination', (await destination.checkSpace?.(sizes)) ?? []);
  }

  /** A resumed run's own leases and rows are its own. */
  async #uses(destination: DestinationSession, tables: readonly ExpandedTable[]): Promise<readonly TargetUse[]> {
    if (!this.#ledgerReadable) return [];
    const { compiled, asking } = this.given;
    const run = asking.run ?? compiled.resume;
    const specs = tables.map(({ spec }) => spec);
    return await destination.ledger.usesOf({ name: compiled.name, ...(run !== undefined && { run }) }, specs);
  }

  #say(uses: readonly TargetUse[], kind: TargetUse['use'], tables: readonly ExpandedTable[]): void {
    const byTarget = new Map(tables.map((table) => [table.spec.to, table]));
    for (const use of uses.filter((each) => each.use === kind))
      this.#add(byTarget.get(use.to)!, [useFinding(this.given.compiled.destination, use)]);
  }

  /** An entry that is a pattern stands for several tables, so each is named. */
  #add({ path, spec }: ExpandedTable, findings: readonly Finding[]): void {
    const entry = this.given.compiled.entries.find((each) => each.path === path);
    const pattern = entry?.kind === 'relation' && entry.from !== spec.from;
    this.findings.add(path, findings, pattern ? spec.table : undefined);
  }
}
