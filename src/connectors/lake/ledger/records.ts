import type { QuerySpec, TableRecord } from '../../../core/model.js';
import { runClosed, startedOver } from '../../run-closed.js';
import type { NewTableRecord, QueryOption } from '../../types.js';
import type { ObjectStore } from '../../objects/store.js';
import type { Context } from './context.js';
import { mapAll, mapOrdered } from '../in-order.js';
import { deleteFolder, needJson, putJson } from './objects.js';
import { openingFolder, queriesPath, recordPath } from './paths.js';
import { UNKNOWN, type OpenedRun, type TableEntry } from './run-state.js';

/** The records of tables, as a run was opened with them. Queries lie apart: only planning reads them. */

/** A page of queries ends with whichever comes first. */
const PAGE_QUERIES = 500;
const PAGE_CHARACTERS = 1_000_000;

interface StoredRecord extends NewTableRecord {
  readonly queryPages?: number;
}

export async function writeRecords(
  store: ObjectStore,
  run: string,
  opening: string,
  tables: readonly NewTableRecord[],
): Promise<void> {
  await mapAll(tables.entries(), async ([position, table]) => {
    const { queries, ...spec } = table.spec;
    const pages = [...pagesOf(queries ?? [])];
    for (const [page, queries] of pages.entries())
      await putJson(store, queriesPath(run, opening, position, page), queries);
    const stored = queries ? { ...table, spec: { ...spec, queries: [] }, queryPages: pages.length } : table;
    await putJson(store, recordPath(run, opening, position), stored);
  });
}

export function removeRecords(store: ObjectStore, run: string, opening: string): Promise<void> {
  return deleteFolder(store, openingFolder(run, opening));
}

function* pagesOf(queries: readonly QuerySpec[]): Generator<QuerySpec[]> {
  let page: QuerySpec[] = [];
  let characters = 0;
  for (const query of queries) {
    page.push(query);
    characters += query.sql.length + query.id.length;
    if (page.length < PAGE_QUERIES && characters < PAGE_CHARACTERS) continue;
    yield page;
    [page, characters] = [[], 0];
  }
  if (page.length > 0) yield page;
}

export async function readRecord(
  context: Context,
  opened: OpenedRun,
  position: number,
  { queries = false }: QueryOption = {},
): Promise<TableRecord> {
  const { run } = opened.run;
  const path = recordPath(run, opened.records, position);
  const { queryPages, ...stored } = await needJson<StoredRecord>(context.store, path);
  const { state, snapshot, expired } = opened.tables[position]!;
  const wanted = queries && queryPages !== undefined && opened.forgottenAt === undefined;
  const spec = wanted
    ? { ...stored.spec, queries: await readQueries(context.store, opened, position, queryPages) }
    : stored.spec;
  return {
    ...{ ...stored, spec, run, state },
    ...(expired && { expired }),
    ...(snapshot !== undefined && { snapshot }),
    staging: context.stagingName(spec, run, snapshot),
  };
}

async function readQueries(
  store: ObjectStore,
  { run: { run }, records }: OpenedRun,
  position: number,
  count: number,
): Promise<QuerySpec[]> {
  const pages = Array.from({ length: count }, (_, page) => queriesPath(run, records, position, page));
  const queries: QuerySpec[] = [];
  for await (const page of mapOrdered(pages, (path) => needJson<QuerySpec[]>(store, path))) queries.push(...page);
  return queries;
}

export function readRecords(
  context: Context,
  opened: OpenedRun | undefined,
  options?: QueryOption,
): Promise<TableRecord[]> {
  return mapAll(opened?.tables.keys() ?? [], (position) => readRecord(context, opened!, position, options));
}

/** A table of a run, as the run's log says that it is. */
export interface Found {
  readonly opened: OpenedRun;
  readonly position: number;
  readonly entry: TableEntry;
}

/** Throws RunClosed when there is no such table. */
export function findTable({ opened } = UNKNOWN, run: string, table: string): Found {
  const position = opened?.tables.findIndex((each) => each.table === table) ?? -1;
  if (!opened || position < 0) throw runClosed({ run, table }, undefined);
  return { opened, position, entry: opened.tables[position]! };
}

type Own = Pick<TableRecord, 'run' | 'spec' | 'snapshot'>;

/** Throws RunClosed when the table was started over since its record was read: its plan, receipts and staging are others now. */
export function requireSame({ run, spec, snapshot }: Own, { snapshot: now }: TableEntry): void {
  if (now === snapshot) return;
  throw startedOver({ run, table: spec.table }, now);
}

export function requireOpen(record: Own, entry: TableEntry): void {
  requireSame(record, entry);
  if (entry.state !== 'open') throw runClosed({ run: record.run, table: record.spec.table }, entry.state);
}
