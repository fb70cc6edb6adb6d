import type { Problem } from '../core/errors.js';
import type { Job, TableSpec } from '../core/model.js';
import type { CompiledEntry, CompiledJob, ListEntry, QueryEntry, RelationEntry } from './compiled-job.js';
import type { ParsedJob } from './job.js';
import { MOST_QUERIES, MOST_TABLES } from './job-schema.js';
import type { ListedTable } from './query-list.js';
import { fillTemplate, formatTableName, isPattern, parseTableName, type TableName } from './table-name.js';

/** One table of the expanded job with its entry's path in the file: what problems found on the servers are said about. */
export interface ExpandedTable {
  readonly path: string;
  readonly spec: TableSpec;
}

export interface ExpandedJob {
  /** Present only if there is no problem, from parsing or expanding. */
  readonly job?: Job;
  /** All tables that could be told, also beside problems; patterns expanded in place. */
  readonly tables: readonly ExpandedTable[];
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

export interface ListedTables {
  readonly tables: readonly ListedTable[];
  readonly problems: readonly Problem[];
}

export type EntryOf<Kind> = CompiledEntry & Kind;

/** The names that match a pattern, in their order. */
type Match = (pattern: string) => Promise<readonly string[]>;

/** All tables of an entry's list, or what is wrong with it. */
type ReadList = (entry: EntryOf<ListEntry>) => Promise<ListedTables>;

/**
 * Puts the source's tables in the place of patterns, and a list's in that of its entry, fills in templates of targets, and looks for
 * duplicates. Errors of `match` and `list` pass through. A table with an entry of its own is not taken by a pattern, nor by an entry
 * for all the tables of a list.
 */
export async function expandTables(parsed: ParsedJob, match: Match, list: ReadList = noList): Promise<ExpandedJob> {
  const { compiled, warnings } = parsed;
  if (compiled === undefined) return { tables: [], problems: parsed.problems, warnings };
  const { tables, problems: unmatched } = await expandEntries(compiled.entries, { match, list });
  const problems = [
    ...parsed.problems,
    ...unmatched,
    ...duplicates(tables),
    ...ontoItself(compiled, tables),
    ...tooMany(tables),
  ];
  if (problems.length > 0) return { tables, problems, warnings };
  const { entries: _, ...head } = compiled;
  return { job: { ...head, tables: tables.map(({ spec }) => spec) }, tables, problems, warnings };
}

function noList(): Promise<ListedTables> {
  return Promise.resolve({ tables: [], problems: [] });
}

interface Lookup {
  readonly match: Match;
  readonly list: ReadList;
}

/** What has an entry of its own. */
interface Named {
  readonly relations: ReadonlySet<string>;
  readonly groups: ReadonlySet<string>;
}

interface Expansion {
  readonly tables: readonly ExpandedTable[];
  readonly problems: readonly Problem[];
}

async function expandEntries(entries: readonly CompiledEntry[], lookup: Lookup): Promise<Expansion> {
  const named = {
    relations: new Set(entries.flatMap((entry) => (entry.kind === 'relation' ? entry.from : []))),
    groups: new Set(entries.flatMap((entry) => (entry.kind === 'relation' ? [] : (entry.table ?? [])))),
  };
  const tables: ExpandedTable[] = [];
  const problems: Problem[] = [];
  for (const entry of entries) {
    const found = await expandEntry(entry, named, lookup);
    tables.push(...found.tables);
    problems.push(...found.problems);
  }
  return { tables, problems };
}

function expandEntry(entry: CompiledEntry, named: Named, lookup: Lookup): Promise<Expansion> {
  if (entry.kind === 'list') return expandList(entry, named, lookup);
  if (entry.kind === 'relation' && isPattern(nameOf(entry.from))) return expandPattern(entry, named, lookup);
  return Promise.resolve({ tables: [{ path: entry.path, spec: specOf(entry) }], problems: [] });
}

async function expandPattern(
  entry: EntryOf<RelationEntry>,
  { relations }: Named,
  { match }: Lookup,
): Promise<Expansion> {
  const names = (await match(entry.from)).map((name) => formatTableName(nameOf(name)));
  const left = names.filter((name) => !relations.has(name));
  return {
    tables: left.map((from) => ({ path: entry.path, spec: specOf({ ...entry, from }) })),
    problems: names.length === 0 ? [matchesNothing(entry)] : [],
  };
}

async function expandList(entry: EntryOf<ListEntry>, { groups }: Named, { list }: Lookup): Promise<Expansion> {
  const { kind: _kind, table: only, ...keys } = entry;
  const listed = await list(entry);
  const own = listed.tables.filter(({ table }) => (only === undefined ? !groups.has(table) : table === only));
  const tables = own.map((each) => ({ path: entry.path, spec: specOf({ ...keys, kind: 'queries', ...each }) }));
  const none = listed.problems.length === 0 && own.length === 0;
  return { tables, problems: none ? [listsNothing(entry)] : listed.problems };
}

function listsNothing({ path, table }: EntryOf<ListEntry>): Problem {
  const message =
    table === undefined
      ? 'the list has no table but those with entries of their own'
      : `the list has no query of ${table}`;
  return { path, message, fix: 'take the entry out, or see where the list comes from' };
}

function matchesNothing({ path, from }: CompiledEntry & RelationEntry): Problem {
  const message = `${from} matches no table that this connection may see`;
  return { path, message, fix: 'correct the pattern, or grant USAGE on the schema' };
}

function specOf(entry: EntryOf<RelationEntry> | EntryOf<QueryEntry>): TableSpec {
  const { path: _path, kind: _kind, ...keys } = entry;
  if ('queries' in keys) {
    const { table, queries } = keys;
    return { ...keys, to: targetOf(keys.to, table), partition: { by: 'auto', count: queries.length } };
  }
  return { ...keys, table: keys.from, to: targetOf(keys.to, keys.from) };
}

function targetOf(template: string, table: string): string {
  return formatTableName(nameOf(fillTemplate(template, nameOf(table))));
}

/** Names were checked when the file was read; what a source answers is taken as it is. */
function nameOf(text: string): TableName {
  return parseTableName(text) ?? { schema: 'public', table: text };
}

function duplicates(tables: readonly ExpandedTable[]): Problem[] {
  const sources = new Map<string, string>();
  const targets = new Map<string, string>();
  return tables.flatMap(({ path, spec }) => {
    const source = sources.get(spec.table);
    const target = targets.get(spec.to);
    if (source === undefined) sources.set(spec.table, path);
    if (target === undefined) targets.set(spec.to, path);
    if (source !== undefined)
      return [{ path, message: `${spec.table} is copied by ${source} too`, fix: 'keep one of them' }];
    if (target === undefined) return [];
    const message = `${spec.table} goes to ${spec.to}, which is the target of ${target} too`;
    return [{ path, message, fix: 'give each table a target of its own, e.g. to: "dw.{schema}_{table}"' }];
  });
}

function ontoItself({ source, destination }: CompiledJob, tables: readonly ExpandedTable[]): Problem[] {
  if (source !== destination) return [];
  return tables
    .filter(({ spec }) => spec.from === spec.to)
    .map(({ path, spec }) => {
      const message = `${spec.to} would be copied onto itself`;
      return { path, message, fix: 'write another destination, or another to' };
    });
}

function tooMany(tables: readonly ExpandedTable[]): Problem[] {
  // Without a list they were counted when the file was read.
  const listed = tables.some(({ spec }) => spec.queriesFrom !== undefined);
  const queries = listed ? tables.reduce((sum, { spec }) => sum + (spec.queries?.length ?? 0), 0) : 0;
  const fix = 'make several jobs of it';
  const many = (message: string) => ({ path: 'tables', message, fix });
  return [
    ...(tables.length > MOST_TABLES ? [many(`${tables.length} tables match, more than ${MOST_TABLES}`)] : []),
    ...(queries > MOST_QUERIES ? [many(`hold ${queries} queries, more than ${MOST_QUERIES}`)] : []),
  ];
}
