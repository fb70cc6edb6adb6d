import type { QuerySpec } from '../../core/model.js';
import type { Log, Value } from '../types.js';

/** What the author of a source needs; src/index.ts exports it. docs/sources.md has a complete example. */

/** The attempt failed and may succeed when it is tried again: it is, by the job's retry policy. So is any other error but FatalError. */
export class RetryableError extends Error {
  override readonly name: string = 'RetryableError';
}

/** Trying again can't help: the partition parks at once, and a person is told. */
export class FatalError extends Error {
  override readonly name: string = 'FatalError';
}

/** `options` of the connection in longhaul.yaml, references resolved. */
export type SourceOptions = Readonly<Record<string, unknown>>;

export interface OpenContext<Options extends object = SourceOptions> {
  /** As the file has them: their form is the module's to check. */
  readonly options: Options;
  /** Aborted when the attempt is to end: the job was cancelled or paused, nothing moved for too long, the worker shuts down. */
  readonly signal: AbortSignal;
  readonly log: Log;
  /** Counts from 1 for each partition. */
  readonly attempt: number;
}

/** One table of a job. */
export interface TableRequest {
  /** Its name in the job; without `public.` */
  readonly table: string;
  /** The job's own queries; absent for an entry with `from`. */
  readonly queries?: readonly QuerySpec[];
  /** Names of the columns that the job asks for; absent for all. */
  readonly columns?: readonly string[];
}

export interface TableDescription {
  /** `type` as the destination writes it: `bigint`, `numeric(12,2)`, `timestamptz`. */
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  readonly primaryKey?: readonly string[];
}

/** One partition: the rows of `query`, a text that only `stream` reads, and that no other partition gives. */
export interface PlannedQuery {
  /** What people are shown, in the web UI too: no value of a key. Unique within the table. */
  readonly id: string;
  readonly query: string;
  readonly estimatedRows?: number;
}

/** One partition that is to be read, by one attempt. */
export interface StreamRequest {
  readonly table: string;
  /** Of the job's query, or of the one that `plan` gave. */
  readonly id: string;
  readonly query: string;
  /** Every row has a value for each of them. */
  readonly columns: readonly string[];
  readonly signal: AbortSignal;
}

/** A value for each column, NULL written as `null`. Other keys are left out of the copy. */
export interface SourceRow {
  readonly [column: string]: Value | undefined;
}

type MaybePromise<T> = T | Promise<T>;
type AnyIterable<T> = Iterable<T> | AsyncIterable<T>;

/** A source as a module gives it. Each attempt opens a session of its own and closes it; nothing else is called twice at the same time on one. */
export interface SourceDefinition<Session = unknown, Options extends object = SourceOptions> {
  /** A new session, of any kind. It is closed by its `[Symbol.asyncDispose]`, `[Symbol.dispose]` or `close`, where it has one. */
  open(context: OpenContext<Options>): MaybePromise<Session>;
  /** Left out: the job declares the columns, or they are those of the target. Tells the same whenever it is asked. */
  describe?(session: Session, table: TableRequest): MaybePromise<TableDescription>;
  /** Cuts a table of an entry with `from`. Left out: an entry must have queries, and each is a partition. */
  plan?(session: Session, table: TableRequest): MaybePromise<AnyIterable<PlannedQuery>>;
  /** The rows of a partition, one by one or in lists (a page of an API, say): pulled as the destination takes them. */
  stream(session: Session, request: StreamRequest): MaybePromise<AnyIterable<SourceRow | readonly SourceRow[]>>;
}

/** Types a source. A module exports the result as its default. */
export function defineSource<Session, Options extends object = SourceOptions>(
  source: SourceDefinition<Session, Options>,
): SourceDefinition<Session, Options> {
  return source;
}

/** What is wrong with what a module exports as its default, in words; undefined for a source. */
export function formMistake(exported: unknown): string | undefined {
  const parts = (exported ?? {}) as Record<string, unknown>;
  const missing = ['open', 'stream'].filter((name) => typeof parts[name] !== 'function');
  if (missing.length === 2) return 'exports no source as its default';
  if (missing.length === 1) return `exports a source without ${missing[0]!}`;
  const odd = ['describe', 'plan'].find((name) => parts[name] !== undefined && typeof parts[name] !== 'function');
  return odd === undefined ? undefined : `exports a source whose ${odd} is no function`;
}
