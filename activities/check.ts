import { expandTables, type ExpandedJob, type ExpandedTable } from '../src/config/expand.js';
import type { CompiledEntry, CompiledJob } from '../src/config/compiled-job.js';
import { parseJob, type ParsedJob } from '../src/config/job.js';
import { useFinding } from '../src/connectors/target-use.js';
import type {
  Connector,
  DestinationSession,
  Finding,
  LastPublished,
  NewTableRecord,
  SourceSession,
  TargetUse,
} from '../src/connectors/types.js';
import type { Servers } from '../src/core/activities.js';
import type { Problem } from '../src/core/errors.js';
import type { Job, TableSpec } from '../src/core/model.js';
import { counted } from '../src/core/text.js';
import type { Attempt } from './attempt.js';
import { connectorFor, told, type Tell } from './check-sides.js';
import { checkTables, laneOf, type CheckedTable, type Sessions } from './check-tables.js';
import type { Dependencies } from './dependencies.js';
import { Findings } from './findings.js';
import { QueryLists, type Known } from './query-lists.js';
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
  const lists = new QueryLists(deps, running, asking.tell, compiled.entries);
  const check = new JobCheck({ compiled, parsed, source, destination, asking, undigested, lists }, findings);
  const answering = await check.servers();
  if (from === undefined || source === undefined) return check.ended();
  const lane = laneOf({ source: from, destination: answering && to }, running);
  return await check.tables({ source, destination: answering }, lane);
}

interface Checking {
  readonly compiled: CompiledJob;
  readonly parsed: ParsedJob;
  readonly source: SourceSession | undefined;
  readonly destination: DestinationSession | undefined;
  readonly asking: Asking;
  /** Why `verify: checksum` can't be had between the two connections. */
  readonly undigested: string | undefined;
  readonly lists: QueryLists;
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

  /** Answers with the destination, unless it could not be asked: then it is not asked about tables either. */
  async servers(): Promise<DestinationSession | undefined> {
    const { source, destination, asking, compiled } = this.given;
    // Each partition has one session at each side.
    const demand = { sessions: compiled.parallelism };
    const ask = (side: 'source' | 'destination', session: SourceSession | DestinationSession) =>
      told(this.findings, side, asking.tell, () => session.checkServer(demand));
    const add = (side: 'source' | 'destination', found: readonly Finding[] = []) => this.findings.add(side, found);
    if (source) add('source', await ask('source', source));
    const before = this.findings.count;
    const found = destination && (await ask('destination', destination));
    add('destination', found);
    this.#ledgerReadable = found !== undefined && this.findings.count === before;
    return found && destination;
  }

  async tables({ source, destination }: Sessions, lane: ReturnType<typeof laneOf>): Promise<CheckedJob> {
    const { compiled, parsed, lists } = this.given;
    const known = await this.#known(destination);
    const found = await expandTables(
      parsed,
      (pattern) => source.expand(pattern),
      (entry) => lists.tables(entry, known),
    );
    this.findings.addProblems(found.problems.slice(parsed.problems.length));
    this.#digests(found.tables);
    const checked = await checkTables(compiled.source, { source, destination }, found.tables, lane);
    for (const [index, table] of checked.entries()) this.#add(found.tables[index]!, table.findings);
    // What was decided when a run was opened is not asked again when it is opened once more.
    if (known.length === 0) await this.#telling();
    if (destination === undefined) return this.ended();
    if (known.length === 0) await this.#fewer(destination, found.tables);
    await this.#space(destination, found.tables, checked);
    const uses = await this.#uses(destination, found.tables);
    if (!this.given.compiled.again) this.#say(uses, 'appended', found.tables);
    const fit = this.findings.count === 0;
    this.#say(uses, 'held', found.tables);
    const records = checked.flatMap(({ record }) => (record === undefined ? [] : [record]));
    const rest = fit ? await this.#whole(found, source, destination) : {};
    return { ...this.ended(), ...rest, records };
  }

  /** What the ledger has of the run, where its queries matter. */
  async #known(destination: DestinationSession | undefined): Promise<Known> {
    const { compiled } = this.given;
    const queried = compiled.entries.some(({ kind }) => kind !== 'relation');
    if (destination === undefined || this.#run === undefined || !queried || !this.#ledgerReadable) return [];
    return await destination.ledger.tables(this.#run, { queries: true });
  }

  /** A resumed run's own leases, rows and queries are its own. */
  get #run(): string | undefined {
    return this.given.asking.run ?? this.given.compiled.resume;
  }

  async #telling(): Promise<void> {
    for (const { path, finding } of await this.given.lists.onCommitted()) this.findings.add(path, [finding]);
  }

  async #fewer(destination: DestinationSession, tables: readonly ExpandedTable[]): Promise<void> {
    const replaced = tables.filter(({ spec }) => spec.queries !== undefined && spec.mode === 'replace');
    if (this.given.compiled.allowFewer || replaced.length === 0 || !this.#ledgerReadable) return;
    const targets = replaced.map(({ spec }) => spec.to);
    const last = new Map((await destination.ledger.lastPublished(this.#run, targets)).map((each) => [each.to, each]));
    for (const table of replaced) this.#add(table, fewerFindings(table.spec, last.get(table.spec.to)));
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

  async #uses(destination: DestinationSession, tables: readonly ExpandedTable[]): Promise<readonly TargetUse[]> {
    if (!this.#ledgerReadable) return [];
    const { name } = this.given.compiled;
    const specs = tables.map(({ spec }) => spec);
    return await destination.ledger.usesOf({ name, ...(this.#run !== undefined && { run: this.#run }) }, specs);
  }

  #say(uses: readonly TargetUse[], kind: TargetUse['use'], tables: readonly ExpandedTable[]): void {
    const byTarget = new Map(tables.map((table) => [table.spec.to, table]));
    for (const use of uses.filter((each) => each.use === kind))
      this.#add(byTarget.get(use.to)!, [useFinding(this.given.compiled.destination, use)]);
  }

  /** An entry that is a pattern, or takes all tables of a list, stands for several, so each is named. */
  #add({ path, spec }: ExpandedTable, findings: readonly Finding[]): void {
    const entry = this.given.compiled.entries.find((each) => each.path === path);
    const several = entry?.kind === 'list' ? entry.table === undefined : isMatched(entry, spec);
    const told = spec.queriesFrom === undefined ? findings : findings.map((finding) => ofList(spec, finding));
    this.findings.add(path, told, several ? spec.table : undefined);
  }
}

function isMatched(entry: CompiledEntry | undefined, { from }: TableSpec): boolean {
  return entry?.kind === 'relation' && entry.from !== from;
}

/** The queries of a list have no place in the job file: they are called by their ids. */
function ofList({ table, queries = [] }: TableSpec, finding: Finding): Finding {
  const [place, index] = /^queries(?:\[(\d+)\]\.sql)?$/.exec(finding.path) ?? [];
  if (place === undefined) return finding;
  const query = index === undefined ? undefined : queries[Number(index)];
  const message = query === undefined ? finding.message : `${table}/${query.id}: ${finding.message}`;
  return { ...finding, path: 'queriesFrom', message };
}

/** A replace publishes what these queries give, and nothing else. */
function fewerFindings({ queries = [], queriesFrom, to }: TableSpec, last: LastPublished | undefined): Finding[] {
  if (last === undefined || queries.length >= last.queries) return [];
  const before = `the ${last.queries} that ${to} was published from on ${last.publishedAt.slice(0, 10)} (run ${last.run})`;
  const message = `${counted(queries.length, 'query', 'queries')}, fewer than ${before}: replace would leave nothing else in it`;
  const fix =
    'let it have all of them, finished or not; if the rest is meant to go, say --allow-fewer (allowFewer: true)';
  return [{ severity: 'problem', path: queriesFrom === undefined ? 'queries' : 'queriesFrom', message, fix }];
}
