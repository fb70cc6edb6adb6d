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
  if (has(entry, 'queries')) {
    const foreign = ['from', 'where', 'columns', 'exclude', 'partition'].filter((key) => has(entry, key));
    const fix = 'take it out: each query is a partition and says itself what it reads';
    return [
      ...found,
      ...repeatedIds(entry.queries, [...path, 'queries']),
      ...foreign.map((key) => located([...path, key], 'can not stand beside queries', fix)),
    ];
  }
  if (has(entry, 'table'))
    found.push(located([...path, 'table'], 'names a group of queries, and there are none', 'write from instead'));
  const mentioned = known.some((each) => pathText(each.path).startsWith(pathText(path)));
  if (has(entry, 'from') || mentioned || found.length > 0) return found;
  return [located(path, 'says not what to copy', 'write from: schema.table, or queries: [{id, sql}]')];
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
