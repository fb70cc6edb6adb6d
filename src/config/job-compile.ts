import type { DeclaredColumn, PartitionHint, QueriesFrom, RetrySpec } from '../core/model.js';
import { DEFAULT_PARTITION_SIZE } from '../core/partition.js';
import { namesIn, TOLD_NAMES } from '../core/named-parameters.js';
import type { CompiledEntry, CompiledJob, ListEntry, QueryEntry, RelationEntry } from './compiled-job.js';
import { didYouMean } from '../core/suggest.js';
import { MOST_QUERIES, type DefaultedEntry, type DefaultedJob, type TableDefaults } from './job-schema.js';
import { below, located, pathText, type Located } from './problems.js';
import { formatTableName, isPattern, parseTableName, placeholders } from './table-name.js';

/** What could be compiled, and what the keys of a well-formed job say wrongly together. */
export interface Compilation {
  readonly compiled: CompiledJob;
  readonly problems: readonly Located[];
  readonly warnings: readonly Located[];
}

/** Applies `defaults` to the entries. `indices` are the entries' places in the file, where some had problems and were left out. */
export function compileJob(job: DefaultedJob, indices: readonly number[]): Compilation {
  const { tables, defaults, mode: _mode, retry, resume, maxSnapshotAge, ...head } = job;
  const results = tables.map((given, position) => {
    const entry = typeof given === 'string' ? { from: given } : given;
    return compileEntry(entry, job, ['tables', indices[position]!]);
  });
  const entries = results.flatMap(({ entry, problems }) => (problems.length === 0 ? [entry] : []));
  const optional = { ...(resume !== undefined && { resume }), ...(maxSnapshotAge !== undefined && { maxSnapshotAge }) };
  return {
    compiled: { ...head, retry: compileRetry(retry), ...optional, entries },
    problems: [
      ...retryProblems(retry),
      ...results.flatMap(({ problems }) => problems),
      ...tooManyQueries(entries),
      ...againProblems(
        job,
        results.map(({ entry }) => entry),
      ),
    ],
    warnings: [
      ...retryWarnings(retry),
      ...entries.flatMap((entry) => unusedDefaults(entry, defaults)),
      ...results.flatMap(({ warnings }) => warnings),
    ],
  };
}

/**
 * A replace may run as often as one likes. Beside `resume` it says the same as where that run began: other runs' appends are not
 * in its way. Of its own it repeats nothing all the same, since it has receipts of it.
 */
function againProblems({ again }: DefaultedJob, entries: readonly CompiledEntry[]): Located[] {
  if (!again) return [];
  if (entries.length === 0 || entries.some(({ mode }) => mode === 'append')) return [];
  return [located(['again'], 'needs a table with mode append: replace may run as often as you like', 'take it out')];
}

function compileRetry({ firstByteTimeout, ...retry }: DefaultedJob['retry']): RetrySpec {
  return firstByteTimeout === 'none' ? retry : { ...retry, firstByteTimeout };
}

function retryProblems(retry: DefaultedJob['retry']): Located[] {
  if (retry.maximumInterval >= retry.initialInterval) return [];
  const fix = 'write at least the initialInterval';
  return [located(['retry', 'maximumInterval'], 'is shorter than initialInterval', fix)];
}

function retryWarnings({ attemptTimeout, stallTimeout }: DefaultedJob['retry']): Located[] {
  if (stallTimeout <= attemptTimeout) return [];
  return [
    located(['retry', 'stallTimeout'], 'never ends an attempt, since attemptTimeout does so before', 'shorten it'),
  ];
}

function compileEntry(given: DefaultedEntry, job: DefaultedJob, path: readonly PropertyKey[]) {
  const { defaults } = job;
  const entry = entryOf(given, defaults, commonOf(given, job, pathText(path)));
  const { problems, warnings } = mistakesIn(entry);
  const here = (each: Located) => below(path, each);
  return { entry, problems: [...problems, ...publishProblems(entry)].map(here), warnings: warnings.map(here) };
}

function entryOf(given: DefaultedEntry, defaults: TableDefaults, common: Common): CompiledEntry {
  // Keys that the file has not are not there: none of them is undefined.
  if (given.queriesFrom !== undefined) return list(given, given.queriesFrom as QueriesFrom, defaults, common);
  return given.queries === undefined ? relation(given, defaults, common) : queries(given, defaults, common);
}

interface Mistakes {
  readonly problems: readonly Located[];
  readonly warnings: readonly Located[];
}

function mistakesIn(entry: CompiledEntry): Mistakes {
  if (entry.kind === 'list') return listMistakes(entry);
  return { problems: entry.kind === 'queries' ? queryProblems(entry) : relationProblems(entry), warnings: [] };
}

type Common = Pick<
  CompiledEntry,
  'path' | 'mode' | 'consistency' | 'verify' | 'publish' | 'rejects' | 'partitionBy' | 'types'
>;

/** What is the default is left out, so that a specification says only what is special about its table. */
function commonOf(given: DefaultedEntry, { defaults, mode, consistency }: DefaultedJob, path: string): Common {
  const verify = given.verify ?? defaults.verify;
  const publish = given.publish ?? defaults.publish;
  const rejects = given.rejects ?? defaults.rejects;
  const partitionBy = given.partitionBy ?? defaults.partitionBy;
  const types = given.types ?? defaults.types;
  return {
    path,
    mode: given.mode ?? defaults.mode ?? mode,
    ...(consistency === 'snapshot' && { consistency }),
    ...(verify === 'checksum' && { verify }),
    ...(publish === 'partition' && { publish }),
    ...(rejects !== undefined && { rejects }),
    ...(partitionBy !== undefined && { partitionBy }),
    ...(types !== undefined && { types }),
  };
}

function publishProblems({ publish, mode, consistency }: Common): Located[] {
  if (publish !== 'partition') return [];
  if (mode !== 'append') {
    return [
      located(['publish'], 'partition needs mode append: replace publishes all rows in one step', 'take one out'),
    ];
  }
  if (consistency !== 'snapshot') return [];
  const message = 'partition can not stand beside consistency snapshot: what is visible can not start over';
  return [located(['publish'], message, 'keep one of the two')];
}

function relation(given: DefaultedEntry, defaults: TableDefaults, common: Common): CompiledEntry & RelationEntry {
  const from = formatTableName(parseTableName(given.from!)!);
  const where = given.where ?? defaults.where;
  return {
    ...common,
    ...{ kind: 'relation', from, to: given.to ?? defaults.to ?? '{schema}.{table}' },
    ...columnChoice(given, defaults),
    ...(where === undefined ? {} : { where }),
    partition: partitionOf(given.partition, defaults.partition),
  };
}

/** `columns` and `exclude` are one choice: an entry that makes it is not bound by the other one in `defaults`. */
function columnChoice(given: DefaultedEntry, defaults: TableDefaults): Pick<RelationEntry, 'columns' | 'exclude'> {
  const { columns, exclude } = given.columns === undefined && given.exclude === undefined ? defaults : given;
  if (columns !== undefined && !Array.isArray(columns)) return {};
  return { ...(columns === undefined ? {} : { columns }), ...(exclude === undefined ? {} : { exclude }) };
}

/** `by` and the measure are two choices, each the entry's own, else the default's. */
function partitionOf(
  given: DefaultedEntry['partition'] = {},
  defaults: TableDefaults['partition'] = {},
): PartitionHint {
  const measure = measureOf(given) ?? measureOf(defaults) ?? { size: DEFAULT_PARTITION_SIZE };
  return { by: given.by ?? defaults.by ?? 'auto', ...measure };
}

function measureOf({
  size,
  rows,
  count,
}: NonNullable<DefaultedEntry['partition']>): Omit<PartitionHint, 'by'> | undefined {
  if (size !== undefined) return { size };
  if (rows !== undefined) return { rows };
  return count === undefined ? undefined : { count };
}

/** A group without a name is called as its target; without a target it goes to the table of its own name. */
function queries(given: DefaultedEntry, defaults: TableDefaults, common: Common): CompiledEntry & QueryEntry {
  const table = given.table ?? given.to ?? '';
  const to = given.to ?? defaults.to ?? table;
  return { ...common, kind: 'queries', table, to, queries: given.queries!, ...declared(given) };
}

function declared({ columns }: DefaultedEntry): { declared?: readonly DeclaredColumn[] } {
  if (columns === undefined || Array.isArray(columns)) return {};
  return { declared: Object.entries(columns).map(([name, type]) => ({ name, type })) };
}

/** Where nothing is said, each table of a list goes to the table of its own name. */
function list(
  given: DefaultedEntry,
  queriesFrom: QueriesFrom,
  defaults: TableDefaults,
  common: Common,
): CompiledEntry & ListEntry {
  const to = given.to ?? defaults.to ?? '{schema}.{table}';
  const { table } = given;
  return { ...common, kind: 'list', to, ...(table !== undefined && { table }), queriesFrom, ...declared(given) };
}

function listMistakes({ table, to, queriesFrom: { onCommitted } }: ListEntry & Pick<CompiledEntry, 'to'>): Mistakes {
  const one = table === undefined && !placeholders(to).includes('table');
  const fix = 'write e.g. dw.{table}, or table: orders for the queries of one';
  const target = one ? [located(['to'], 'is one target for all tables of the list', fix)] : [];
  const told = onCommitted === undefined ? NOTHING : tellingMistakes(namesIn(onCommitted));
  const here = (each: Located) => below(['queriesFrom', 'onCommitted'], each);
  return { problems: [...target, ...told.problems.map(here)], warnings: told.warnings.map(here) };
}

const NOTHING: Mistakes = { problems: [], warnings: [] };

function tellingMistakes(names: readonly string[]): Mistakes {
  const known: readonly string[] = TOLD_NAMES;
  const written = known.map((name) => `:${name}`).join(', ');
  const unknown = names.filter((name) => !known.includes(name));
  const problems = unknown.map((name) => {
    const meant = didYouMean(name, known);
    return located(
      [],
      `uses :${name}, which is not known`,
      meant === undefined ? `the names are ${written}` : `did you mean :${meant}?`,
    );
  });
  if (unknown.length > 0) return { problems, warnings: [] };
  if (!names.includes('query_id')) {
    return { problems, warnings: [located([], 'says the same of every query', 'add query_id = :query_id')] };
  }
  const message = 'uses :query_id alone, and query ids are unique only within their table';
  return {
    problems,
    warnings: names.includes('table_name') ? [] : [located([], message, 'add table_name = :table_name')],
  };
}

function queryProblems({ table, to }: QueryEntry & Pick<CompiledEntry, 'to'>): Located[] {
  if (table === '' || placeholders(table).length > 0) {
    return [located(['table'], 'is missing', 'name the group: table: orders')];
  }
  if (!placeholders(to).includes('schema') || hasSchema(table)) return [];
  const fix = 'write table: schema.name, or a target without {schema}';
  return [located(['to'], 'holds {schema}, but the name of the group has none', fix)];
}

/** With one more part before it, a name that has a schema is no name any more. */
function hasSchema(name: string): boolean {
  return parseTableName(`x.${name}`) === undefined;
}

function relationProblems(entry: RelationEntry & Pick<CompiledEntry, 'to' | 'consistency'>): Located[] {
  return [...patternProblems(entry), ...pagesProblems(entry)];
}

function pagesProblems({ partition, consistency }: RelationEntry & Pick<CompiledEntry, 'consistency'>): Located[] {
  if (partition.by !== 'pages' || consistency === 'snapshot') return [];
  const message = 'pages needs a snapshot: an update moves a row to another page, where it is read twice or never';
  return [located(['partition', 'by'], message, 'add consistency: snapshot to the job, or name a column')];
}

function patternProblems({ from, to }: RelationEntry & Pick<CompiledEntry, 'to'>): Located[] {
  if (!isPattern(parseTableName(from)!) || placeholders(to).includes('table')) return [];
  return [located(['to'], 'is one target for all tables that the pattern matches', 'write e.g. dw.{table}')];
}

function tooManyQueries(entries: readonly CompiledEntry[]): Located[] {
  const count = entries.reduce((sum, entry) => sum + (entry.kind === 'queries' ? entry.queries.length : 0), 0);
  if (count <= MOST_QUERIES) return [];
  return [located(['tables'], `hold ${count} queries, more than ${MOST_QUERIES}`, 'make several jobs of it')];
}

/** What `defaults` says of columns and rows can't be put into a query's text: said, because more would be copied than was meant. */
function unusedDefaults(entry: CompiledEntry, defaults: TableDefaults): Located[] {
  if (entry.kind === 'relation') return [];
  const unused = (['where', 'columns', 'exclude'] as const).filter((key) => defaults[key] !== undefined);
  return unused.map((key) =>
    located(['defaults', key], `does not apply to the queries of ${entry.path}`, 'write it into their text'),
  );
}
