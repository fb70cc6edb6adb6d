import { didYouMean } from '../src/core/suggest.js';
import { failure } from './failures.js';
import { isCalled } from './ids.js';
import { parkedCount, type RetryRequest, type SkipRequest, type TableProgress } from './messages.js';

/** Checks of what people ask of a running job: a refused update changes nothing and says what would be right. */

const MAX_PARALLELISM = 1_000;

export function checkParallelism(parallelism: unknown): void {
  if (Number.isInteger(parallelism) && Number(parallelism) >= 1 && Number(parallelism) <= MAX_PARALLELISM) return;
  throw failure('RequestRefused', `The parallelism must be a whole number from 1 to ${MAX_PARALLELISM}.`);
}

export interface RetryTarget {
  readonly table: string;
  /** Absent: all that are parked when the table hears of it. */
  readonly labels?: readonly string[];
  /** How many it is, as far as the job knows. */
  readonly count: number;
}

/** What a retry means now. Throws when it names something that is not parked: then nothing is tried again. */
export function retryTargets(request: RetryRequest | undefined, tables: readonly TableProgress[]): RetryTarget[] {
  const words = request?.partitions;
  if (words === undefined) return wholeTables(tables);
  checkWords(words, 'Write {"partitions": ["public.orders/17", "public.items"]}, or {} for all that is parked.');
  const named = namedByAll(words, tables);
  const whole = named.filter(({ label }) => label === undefined);
  const some = named.filter(({ table }) => !whole.some((each) => each.table === table));
  const each = grouped(some).map((target) => ({ ...target, count: target.labels.length }));
  return [...whole.map(({ table }) => wholeTable(table)), ...each];
}

/** Partitions of one table, each by its own label. */
export interface SkipTarget {
  readonly table: string;
  readonly labels: readonly string[];
}

/** What a skip means now. Throws when it names something that is not parked, or a whole table: then nothing is skipped. */
export function skipTargets(request: SkipRequest | undefined, tables: readonly TableProgress[]): SkipTarget[] {
  const words: readonly string[] | undefined = request?.partitions;
  checkWords(words, 'Write {"partitions": ["public.orders/17"]}, with each parked partition that is to be skipped.');
  const named = namedByAll(words, tables);
  const whole = named.find(({ label }) => label === undefined);
  if (whole !== undefined) throw wholeTableSkipped(whole.table);
  return grouped(named);
}

function wholeTableSkipped(progress: TableProgress): Error {
  const { table } = progress;
  const what = `${table} is a whole table, and partitions are skipped only one by one, each by its name`;
  return refused(`${what} (${table}/17); nothing was done.${parkedList(progress)}`);
}

/** The request comes from anywhere: its type is a wish. */
function checkWords(words: unknown, right: string): asserts words is readonly string[] {
  if (Array.isArray(words) && words.length > 0 && words.every((word) => typeof word === 'string')) return;
  throw refused(right);
}

function wholeTables(tables: readonly TableProgress[]): RetryTarget[] {
  const targets = tables.filter((table) => isRunning(table) && parkedCount(table) > 0);
  if (targets.length === 0) throw refused('No partition of the job is parked.');
  return targets.map(wholeTable);
}

function wholeTable(table: TableProgress): RetryTarget {
  if (!isRunning(table) || parkedCount(table) === 0) throw notParked(table);
  return { table: table.table, count: parkedCount(table) };
}

interface Named {
  readonly table: TableProgress;
  /** Absent: the whole table. */
  readonly label?: string;
}

function namedByAll(words: readonly string[], tables: readonly TableProgress[]): Named[] {
  return [...new Set(words)].map((word) => namedBy(word, tables));
}

/** `public.orders`, or `public.orders/17`. A table's own name may hold a slash: the longest that fits is meant. */
function namedBy(word: string, tables: readonly TableProgress[]): Named {
  const whole = tables.find(({ table }) => table === word);
  if (whole !== undefined) return { table: whole };
  const fits = tables.filter(({ table }) => word.startsWith(`${table}/`));
  const [table] = fits.sort((a, b) => b.table.length - a.table.length);
  if (table === undefined) throw unknownTable(word, tables);
  const label = word.slice(table.table.length + 1);
  if (!mayBeParked(table, label)) throw notParked(table, label);
  return { table, label };
}

function unknownTable(word: string, tables: readonly TableProgress[]): Error {
  const names = tables.map(({ table }) => table);
  const slash = word.lastIndexOf('/');
  const near = didYouMean(slash < 0 ? word : word.slice(0, slash), names);
  const hint = near === undefined ? '' : ` (did you mean ${near}?)`;
  return refused(`The job has no table ${JSON.stringify(word)}${hint}; nothing was done.`);
}

function grouped(named: readonly Named[]): SkipTarget[] {
  const byTable = new Map<TableProgress, string[]>();
  for (const { table, label } of named) {
    byTable.set(table, [...(byTable.get(table) ?? []), label!]);
  }
  return [...byTable].map(([{ table }, labels]) => ({ table, labels }));
}

/**
 * Of the parked the job knows the first few, and while the table copies not even all of those. The table itself ignores
 * labels that aren't parked.
 */
function mayBeParked(table: TableProgress, word: string): boolean {
  const { phase, parked, parkedMore, partitions = 0 } = table;
  if (!isRunning(table) || parked.length === 0) return false;
  if (parked.some((each) => isCalled(each, word))) return true;
  const waits = phase === 'waiting on parked';
  if (waits && parkedMore === undefined) return false;
  const numbered = parked.every(({ ordinal, label }) => label === `${ordinal + 1}/${partitions}`);
  if (!numbered) return true;
  const place = Number(/^(\d+)(\/\d+)?$/.exec(word)?.[1]);
  return place <= partitions && place > (waits ? parked.at(-1)!.ordinal + 1 : 0);
}

function isRunning({ phase }: TableProgress): boolean {
  return phase !== 'failed' && phase !== 'cancelled' && phase !== 'published';
}

function notParked(progress: TableProgress, label?: string): Error {
  const { table } = progress;
  const what = label === undefined ? `No partition of ${table} is parked` : `${table}/${label} is not parked`;
  return refused(`${what}; nothing was done.${parkedList(progress)}`);
}

function parkedList({ table, parked, parkedMore }: TableProgress): string {
  if (parked.length === 0) return '';
  const more = parkedMore === undefined ? '' : `, and ${parkedMore} more`;
  return ` Parked in ${table}: ${parked.map((each) => each.label).join(', ')}${more}.`;
}

function refused(message: string) {
  return failure('RequestRefused', message);
}
