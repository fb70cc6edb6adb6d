import { located, pathText, type Located } from './problems.js';

/** Keys that can't stand together and ids that are equal, found whatever else is wrong with them. */
export function exclusions(raw: object, known: readonly Located[]): Located[] {
  const { defaults, tables } = raw as { defaults?: unknown; tables?: unknown };
  const entries = Array.isArray(tables) ? (tables as unknown[]) : [];
  return [
    ...snapshotExclusions(raw),
    ...columnExclusions(defaults, ['defaults']),
    ...entries.flatMap((entry, index) => entryExclusions(entry, ['tables', index], known)),
  ];
}

/** Who says what becomes of a snapshot believes that there is one. */
function snapshotExclusions(raw: object): Located[] {
  if (has(raw, 'consistency') && raw.consistency !== 'per-partition') return [];
  const message = 'needs consistency: snapshot, since per-partition reads hold none';
  const fix = 'add consistency: snapshot, or take this out';
  return ['onSnapshotLost', 'maxSnapshotAge'].filter((key) => has(raw, key)).map((key) => located([key], message, fix));
}

function entryExclusions(entry: unknown, path: readonly PropertyKey[], known: readonly Located[]): Located[] {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) return [];
  const found = columnExclusions(entry, path);
  const queries = (['queries', 'queriesFrom'] as const).filter((key) => has(entry, key));
  if (queries.length > 0) return [...found, ...queryExclusions(entry, queries, path)];
  if (has(entry, 'table'))
    found.push(located([...path, 'table'], 'names a group of queries, and there are none', 'write from instead'));
  if (isMapping(entry, 'columns')) {
    const fix = 'write their names as a list: the table itself tells their types';
    found.push(located([...path, 'columns'], 'declares columns, which only queries have need of', fix));
  }
  const mentioned = known.some((each) => pathText(each.path).startsWith(pathText(path)));
  if (has(entry, 'from') || mentioned || found.length > 0) return found;
  return [located(path, 'says not what to copy', 'write from: schema.table, or queries: [{id, sql}]')];
}

function queryExclusions(
  entry: object,
  [kind, ...others]: readonly ('queries' | 'queriesFrom')[],
  path: readonly PropertyKey[],
): Located[] {
  const listed = !isMapping(entry, 'columns');
  const keys = ['from', 'where', ...(listed ? ['columns'] : []), 'exclude', 'partition'];
  const foreign = keys.filter((key) => has(entry, key));
  const fix = 'take it out: each query is a partition and says itself what it reads';
  return [
    ...(has(entry, 'queries') ? repeatedIds(entry.queries, [...path, 'queries']) : []),
    ...(has(entry, 'queriesFrom') ? listExclusions(entry.queriesFrom, [...path, 'queriesFrom']) : []),
    ...others.map((key) => located([...path, key], `can not stand beside ${kind}`, 'keep one of the two')),
    ...foreign.map((key) => located([...path, key], `can not stand beside ${kind}`, fix)),
  ];
}

const LIST = 'write {file: queries.csv}, or {connection, sql}';

/** A list is a file, or what a query answers with; `connection` beside a file is only where `onCommitted` is run. */
function listExclusions(list: unknown, path: readonly PropertyKey[]): Located[] {
  if (typeof list !== 'object' || list === null || Array.isArray(list)) return [];
  const [file, connection, sql, told] = ['file', 'connection', 'sql', 'onCommitted'].map((key) => has(list, key));
  const at = (key: string, message: string, fix: string) => [located([...path, key], message, fix)];
  return [
    ...(file && sql ? at('sql', 'can not stand beside file', 'keep one of the two') : []),
    ...(!file && !sql ? [located(path, 'says not where the queries are', LIST)] : []),
    ...(sql && !connection ? at('connection', 'is missing', 'name the connection that sql is asked of') : []),
    ...(file && told && !connection
      ? at('connection', 'is missing', 'name the connection that onCommitted runs on')
      : []),
    ...(file && !sql && connection && !told
      ? at('connection', 'has no use beside file', 'take it out, or add onCommitted')
      : []),
  ];
}

function columnExclusions(value: unknown, path: readonly PropertyKey[]): Located[] {
  const found: Located[] = [];
  if (has(value, 'columns') && has(value, 'exclude')) {
    found.push(located([...path, 'exclude'], 'can not stand beside columns', 'keep one of the two'));
  }
  const partition = has(value, 'partition') ? value.partition : undefined;
  const measures = ['size', 'rows', 'count'].filter((key) => has(partition, key));
  if (measures.length > 1) {
    found.push(located([...path, 'partition'], `says ${measures.join(' and ')}`, 'keep one of size, rows and count'));
  }
  return found;
}

/** Names with types, where a list would be names alone. */
function isMapping(entry: object, key: string): boolean {
  const value = (entry as Record<string, unknown>)[key];
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function has<Key extends string>(value: unknown, key: Key): value is Record<Key, unknown> {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key);
}

function repeatedIds(queries: unknown, path: readonly PropertyKey[]): Located[] {
  const seen = new Set<unknown>();
  return (Array.isArray(queries) ? (queries as unknown[]) : []).flatMap((query, index) => {
    const id = has(query, 'id') ? String(query.id) : undefined;
    const again = id !== undefined && seen.has(id);
    seen.add(id);
    return again ? [located([...path, index, 'id'], 'is the id of an earlier query too', 'give each its own')] : [];
  });
}
