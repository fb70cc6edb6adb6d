import type { Partition, TableRecord } from '../../core/model.js';
import type { AttemptFolder } from './attempt-folder.js';
import type { CommandConnectionConfig, Output } from './config.js';

/** Of the document on standard input. Changed when a program of before could read it wrongly; keys may be added at any time. */
const PROTOCOL = 1;

/** What a program is asked for, in one JSON document. */
export interface Request {
  readonly protocol: typeof PROTOCOL;
  readonly query: string;
  /** Unique within `table`. */
  readonly queryId: string;
  readonly table: string;
  /** The query's place in its list, from 0 on. */
  readonly partition: number;
  readonly run: string;
  /** From 1 on; it may come again. */
  readonly attempt: number;
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  readonly format: string;
  readonly output: Output;
  /** Where the rows go: a path that can be opened for writing, with `files` a folder. */
  readonly out: string;
  /** A folder for files of the program's own; what is in it goes away. */
  readonly tmp: string;
  /** Where it may write that it is complete: `{"rows": 1000}`, or nothing. */
  readonly done: string;
}

export function requestFor(
  { format, output }: CommandConnectionConfig,
  record: TableRecord,
  partition: Partition,
  { attempt, folder }: { readonly attempt: number; readonly folder: AttemptFolder },
): Request {
  const outs: Readonly<Record<Output, string>> = { pipe: folder.rows, files: folder.files, stdout: '/dev/stdout' };
  const types = new Map(record.shape.columns.map(({ name, type }) => [name, type]));
  return {
    ...{ protocol: PROTOCOL, query: partition.predicate, queryId: partition.label, table: record.spec.table },
    ...{ partition: partition.ordinal, run: record.run, attempt },
    columns: record.columns.map((name) => ({ name, type: types.get(name) ?? '' })),
    ...{ format, output, out: outs[output], tmp: folder.tmp, done: folder.done },
  };
}

/** Of the worker's own variables only these are the program's too: among the others are the worker's secrets. */
const PASSED = new Set(
  'PATH HOME USER LOGNAME SHELL LANG LANGUAGE TZ TMPDIR SSL_CERT_FILE SSL_CERT_DIR LD_LIBRARY_PATH'.split(' '),
);

/** Bytes of one variable with its name that Linux takes, the closing NUL included. */
const LONGEST_VARIABLE = 131_072;

/**
 * A program's environment: what is passed on, then the connection's, then the request. Variables that the kernel would not take are
 * left out and named in LONGHAUL_OMITTED: the document has them.
 */
export function environmentFor(
  own: Readonly<Record<string, string>>,
  request: Request,
  worker: NodeJS.ProcessEnv = process.env,
): Record<string, string> {
  const variables = Object.entries(variablesOf(request));
  const taken = variables.filter(([name, value]) => isTaken(name, value));
  const omitted = variables.filter((variable) => !taken.includes(variable)).map(([name]) => name);
  return {
    ...baseEnvironment(own, worker),
    ...Object.fromEntries(taken),
    ...(omitted.length > 0 && { LONGHAUL_OMITTED: omitted.join(' ') }),
  };
}

/** Without a request: where a program is looked for. */
export function baseEnvironment(
  own: Readonly<Record<string, string>>,
  worker: NodeJS.ProcessEnv = process.env,
): Record<string, string> {
  const passed = Object.entries(worker).filter(([name]) => PASSED.has(name) || name.startsWith('LC_'));
  return { ...(Object.fromEntries(passed) as Record<string, string>), ...own };
}

function isTaken(name: string, value: string): boolean {
  return Buffer.byteLength(name) + Buffer.byteLength(value) + 2 <= LONGEST_VARIABLE && !value.includes('\0');
}

function variablesOf(request: Request): Record<string, string> {
  const { columns, ...plain } = request;
  const named = Object.entries(plain).map(([key, value]) => [variableName(key), String(value)]);
  return { ...(Object.fromEntries(named) as Record<string, string>), LONGHAUL_COLUMNS: JSON.stringify(columns) };
}

/** `queryId` is LONGHAUL_QUERY_ID. */
function variableName(key: string): string {
  return `LONGHAUL_${key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}
