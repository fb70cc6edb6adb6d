import type { QuerySpec } from '../core/model.js';
import { counted } from '../core/text.js';
import { LONGEST_ID, MOST_QUERIES } from './job-schema.js';
import { isPattern, parseTableName } from './table-name.js';

/** The queries of one table, in the order of their list. */
export interface ListedTable {
  readonly table: string;
  readonly queries: readonly QuerySpec[];
}

export interface ListProblem {
  readonly message: string;
  readonly fix: string;
}

/** What a list says: its tables in the order of their first rows, or all that is wrong with it. */
export interface QueryList {
  readonly tables: readonly ListedTable[];
  readonly problems: readonly ListProblem[];
}

export const LIST_COLUMNS = ['query_id', 'table_name', 'query'] as const;

/** Where the three columns are in a row. */
type Places = readonly [id: number, table: number, query: number];

const TWICE = 'a query_id is there a second time in its table';
/** Rows named in one problem. */
const NAMED = 5;
/** Text of all queries of a list, in UTF-16 units: an attempt holds it in memory, and the ledger keeps it. */
const MOST_TEXT = 200_000_000;

/**
 * Gathers the rows of a list of queries, wherever they come from, and what is wrong with them. Nothing that it says repeats a value of the
 * list, but for the ids and names by which everything is called later: `what` and the number of a row say where to look.
 */
export class QueryListReader {
  readonly #tables = new Map<string, Map<string, QuerySpec>>();
  readonly #wrong = new Map<string, { readonly fix: string; readonly rows: string[] }>();
  #places: Places | undefined;
  #rows = 0;
  #text = 0;

  /** `row`: how a row is called here. */
  constructor(
    private readonly row: string,
    private readonly rows = `${row}s`,
  ) {}

  /** The names of the columns; case does not matter, and neither do other columns. False: without the three nothing can be read. */
  columns(names: readonly string[]): boolean {
    const lower = names.map((name) => name.trim().toLowerCase());
    const found = LIST_COLUMNS.map((name) => lower.filter((each) => each === name).length);
    for (const [index, name] of LIST_COLUMNS.entries()) {
      if (found[index] === 0) this.#add(`it has no column ${name}`, `its columns are ${LIST_COLUMNS.join(', ')}`);
      else if (found[index]! > 1) this.#add(`it has more than one column ${name}`, 'keep one of them');
    }
    if (found.some((count) => count !== 1)) return false;
    this.#places = LIST_COLUMNS.map((name) => lower.indexOf(name)) as unknown as Places;
    return true;
  }

  /** Takes the next row, which people find at `place`. False: there are too many, and no more is taken. */
  add(values: readonly (string | null | undefined)[], place: number): boolean {
    const [id, table, query] = this.#places!.map((index) => values[index] ?? '') as [string, string, string];
    this.#rows += 1;
    this.#text += query.length;
    const name = table.trim();
    const mistakes = [idMistake(id), tableMistake(name), queryMistake(query)].filter((each) => each !== undefined);
    for (const [message, fix] of mistakes) this.#add(message, fix, place);
    if (mistakes.length === 0) this.#put(name, { id, sql: query }, place);
    return this.#rows <= MOST_QUERIES && this.#text <= MOST_TEXT;
  }

  #put(table: string, query: QuerySpec, place: number): void {
    const queries = this.#tables.get(table) ?? new Map<string, QuerySpec>();
    this.#tables.set(table, queries);
    if (queries.has(query.id)) this.#add(TWICE, 'give each its own', `${place}: ${table}/${query.id}`);
    else queries.set(query.id, query);
  }

  /** A row, or the whole, that can't be read at all. */
  unreadable(message: string, fix: string, place?: number): void {
    this.#add(message, fix, place);
  }

  #add(message: string, fix: string, place?: number | string): void {
    const known = this.#wrong.get(message) ?? { fix, rows: [] };
    this.#wrong.set(message, known);
    if (place !== undefined) known.rows.push(String(place));
  }

  end(): QueryList {
    if (this.#rows > MOST_QUERIES) this.#add(`it has more than ${MOST_QUERIES} rows`, 'make several jobs of it');
    if (this.#text > MOST_TEXT) this.#add('its queries take more than 200 MB', 'make several jobs of it');
    if (this.#rows === 0 && this.#wrong.size === 0) this.#add('it has no rows', 'see where the list comes from');
    const problems = [...this.#wrong].map(([message, { fix, rows }]) => ({
      message: rows.length === 0 ? message : `${message} (${this.#placesOf(rows)})`,
      fix,
    }));
    const tables = [...this.#tables].map(([table, queries]) => ({ table, queries: [...queries.values()] }));
    return { tables: problems.length > 0 ? [] : tables, problems };
  }

  #placesOf(rows: readonly string[]): string {
    const more = rows.length - NAMED;
    const noun = rows.length === 1 ? this.row : this.rows;
    const named = rows.slice(0, NAMED).join(', ');
    return `${noun} ${named}${more > 0 ? ` and ${counted(more, 'other')}` : ''}`;
  }
}

type Mistake = readonly [message: string, fix: string];

function idMistake(id: string): Mistake | undefined {
  if (id.trim() === '') return ['query_id is empty', 'give each query an id, unique within its table'];
  if (id.length <= LONGEST_ID) return undefined;
  return [`query_id is longer than ${LONGEST_ID} characters`, 'give it a short one: it is what people call it by'];
}

function tableMistake(table: string): Mistake | undefined {
  if (table === '') return ['table_name is empty', 'name the table that the query reads a part of'];
  const parsed = parseTableName(table);
  if (parsed !== undefined && !isPattern(parsed)) return undefined;
  return ['table_name is not the name of a table', 'write a name such as orders, or erp.orders'];
}

function queryMistake(query: string): Mistake | undefined {
  return query.trim() === '' ? ['query is empty', 'write its text, or take the row out'] : undefined;
}
