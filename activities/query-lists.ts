import type { EntryOf, ListedTables } from '../src/config/expand.js';
import type { CompiledEntry, ListEntry } from '../src/config/compiled-job.js';
import { readQueryFile } from '../src/config/query-file.js';
import { LIST_COLUMNS, QueryListReader, type QueryList } from '../src/config/query-list.js';
import { errorFinding } from '../src/connectors/findings.js';
import type { Connector, Finding, StatementSession } from '../src/connectors/types.js';
import { LonghaulError, type Problem } from '../src/core/errors.js';
import type { QueriesFrom, TableRecord } from '../src/core/model.js';
import { lowerFirst } from '../src/core/text.js';
import type { Attempt } from './attempt.js';
import { isTold, type Tell } from './check-sides.js';
import { unknownConnection, type Dependencies } from './dependencies.js';

/** What a run in the ledger was opened with, its tables' queries included; none for a run that is not there yet. */
export type Known = readonly Pick<TableRecord, 'spec'>[];

/** The part of `queriesFrom` that is at fault, and what is wrong with it. */
class ListMistake extends Error {
  constructor(
    readonly key: keyof QueriesFrom,
    readonly finding: Pick<Finding, 'message' | 'fix'>,
  ) {
    super(finding.message);
  }
}

/** The lists that a job's queries are taken from, each read at most once, whatever many entries take their tables from it. */
export class QueryLists {
  readonly #read = new Map<string, Promise<QueryList>>();

  constructor(
    private readonly deps: Dependencies,
    private readonly running: Attempt,
    private readonly tell: Tell,
    private readonly entries: readonly CompiledEntry[],
  ) {}

  /**
   * The tables of an entry. Those of a run that the ledger knows are as it has them: its list may be another by now, and half of what
   * is not copied yet would be gone from it.
   */
  async tables(entry: EntryOf<ListEntry>, known: Known): Promise<ListedTables> {
    const stored = known.filter(({ spec }) => isOf(entry, spec, this.entries));
    const tables = stored.map(({ spec: { table, queries = [] } }) => ({ table, queries }));
    if (tables.length > 0) return { tables, problems: [] };
    return this.#orProblem(entry, () => this.#list(entry));
  }

  async #list(entry: EntryOf<ListEntry>): Promise<ListedTables> {
    const { file, connection, sql } = entry.queriesFrom;
    const key = JSON.stringify([file, connection, sql]);
    const reading = this.#read.get(key) ?? this.#open(entry.queriesFrom);
    this.#read.set(key, reading);
    const { tables, problems } = await reading;
    const path = `${entry.path}.queriesFrom.${file === undefined ? 'sql' : 'file'}`;
    return { tables, problems: problems.map(({ message, fix }) => ({ path, message, fix })) };
  }

  #open({ file, connection, sql }: QueriesFrom): Promise<QueryList> {
    this.running.meter.phase = 'reading the list of queries';
    if (file === undefined) return this.#ask(connection!, sql!);
    if (this.deps.folder !== undefined) return readQueryFile(this.deps.folder, file);
    throw new ListMistake('file', {
      message: 'this worker has no folder of lists',
      fix: 'start it with longhaul.yaml',
    });
  }

  async #ask(connection: string, sql: string): Promise<QueryList> {
    await using session = await this.#session(connection);
    const reader = new QueryListReader('row');
    const { columns, rows } = await session.query(sql);
    if (reader.columns(columns)) await readRows(reader, rows);
    return reader.end();
  }

  #session(name: string): Promise<StatementSession> {
    const connector = this.deps.connectors.get(name);
    if (connector?.openStatements !== undefined) return connector.openStatements(this.running.session());
    throw new ListMistake('connection', noStatements(name, connector, this.deps));
  }

  /** What is wrong with the statements that tell others of what is committed: a warning where their connection is away. */
  async onCommitted(): Promise<Found[]> {
    const found: Found[] = [];
    const seen = new Set<string>();
    for (const entry of this.entries) {
      if (entry.kind !== 'list' || entry.queriesFrom.onCommitted === undefined) continue;
      const { connection, onCommitted } = entry.queriesFrom;
      const key = JSON.stringify([connection, onCommitted]);
      if (!seen.has(key)) found.push(...(await this.#checkTelling(entry, connection!, onCommitted)));
      seen.add(key);
    }
    return found;
  }

  async #checkTelling(entry: CompiledEntry, connection: string, statement: string): Promise<Found[]> {
    const path = `${entry.path}.queriesFrom`;
    try {
      await using session = await this.#session(connection);
      await session.check(statement);
      return [];
    } catch (error) {
      if (error instanceof ListMistake)
        return [{ path, finding: { severity: 'problem', path: error.key, ...error.finding } }];
      if (!(error instanceof LonghaulError)) throw error;
      return [{ path, finding: tellingFinding(error) }];
    }
  }

  /** What a user can mend is said; what time may mend is thrown, where it is to be tried again. */
  async #orProblem(entry: EntryOf<ListEntry>, work: () => Promise<ListedTables>): Promise<ListedTables> {
    try {
      return await work();
    } catch (error) {
      const problem = this.#problemOf(error, entry);
      if (problem === undefined) throw error;
      return { tables: [], problems: [problem] };
    }
  }

  #problemOf(error: unknown, { path, queriesFrom }: EntryOf<ListEntry>): Problem | undefined {
    if (error instanceof ListMistake) return { path: `${path}.queriesFrom.${error.key}`, ...error.finding };
    if (!(error instanceof LonghaulError) || !(error.handling === 'park' || isTold(error, this.tell))) return undefined;
    const { message, fix = `write a SELECT that answers with ${LIST_COLUMNS.join(', ')}` } = errorFinding(error);
    return { path: `${path}.queriesFrom.${queriesFrom.file === undefined ? 'sql' : 'file'}`, message, fix };
  }
}

function tellingFinding(error: LonghaulError): Finding {
  const finding = errorFinding(error);
  if (error.handling === 'park') return { ...finding, path: 'onCommitted' };
  return { ...finding, severity: 'warning', path: 'onCommitted', message: `it was not checked: ${finding.message}` };
}

export interface Found {
  /** The entry's. */
  readonly path: string;
  readonly finding: Finding;
}

async function readRows(
  reader: QueryListReader,
  batches: AsyncIterable<readonly (readonly (string | null)[])[]>,
): Promise<void> {
  let place = 0;
  for await (const rows of batches) for (const row of rows) if (!reader.add(row, ++place)) return;
}

/** Whether a stored table is this entry's: by its name, else by its list, else because there is no other that could have it. */
function isOf(entry: EntryOf<ListEntry>, spec: TableRecord['spec'], entries: readonly CompiledEntry[]): boolean {
  if (spec.queriesFrom === undefined || spec.queries === undefined || spec.queries.length === 0) return false;
  if (entry.table !== undefined) return entry.table === spec.table;
  const others = entries.filter((each): each is EntryOf<ListEntry> => each.kind === 'list' && each.table === undefined);
  const list = JSON.stringify(spec.queriesFrom);
  return entry === (others.find(({ queriesFrom }) => JSON.stringify(queriesFrom) === list) ?? others[0]);
}

function noStatements(name: string, connector: Connector | undefined, { connectors }: Dependencies) {
  if (connector !== undefined) {
    const message = `connection ${JSON.stringify(name)} is of type ${connector.type}, which runs no statements`;
    return { message, fix: 'name a connection of type postgres' };
  }
  const fix = `the worker's longhaul.yaml has: ${[...connectors.keys()].join(', ') || 'none'}`;
  return { message: lowerFirst(unknownConnection(name, connectors.keys())), fix };
}
