import { LonghaulError, type ErrorCode } from '../../core/errors.js';
import type { Place } from '../types.js';

/** What is known where a driver's error is caught. */
export interface ErrorContext {
  /** The connection's name in longhaul.yaml. */
  readonly connection: string;
  /** When it is aborted, its reason is the error, whatever the driver makes of the broken session. */
  readonly signal?: AbortSignal;
  /** The transaction was begun read-only by us: an attempt to write is the statement's fault, not the server's. */
  readonly readOnly?: boolean;
  /** The statement that would give a missing privilege. */
  readonly grant?: string;
  /** Where a row of the stream, or a line of CSV, stood in what the source gave. */
  readonly place?: (line: number) => Place | undefined;
}

interface Rule {
  readonly code: ErrorCode;
  /** Our words. They replace the server's where its message may hold values of rows. */
  readonly says: string;
  readonly next?: string;
  /** The server's own message is safe to show: it names objects, never values. */
  readonly quotes?: true;
}

const CHECK_SERVER = 'Look at the server; the copy goes on by itself when it is back.';
const CHECK_SIGN_IN = 'Correct user, password or database of this connection in longhaul.yaml, and restart the worker.';
const LOOK_AT_DATA = 'Correct the data or the target column, then retry the partition.';

/** What errors mean, by SQLSTATE: five characters, else its class of two. Anything that isn't here is Unknown, and retried. */
const BY_SQLSTATE: Readonly<Record<string, Rule>> = {
  '08': { code: 'ConnectionFailed', says: 'lost its connection', next: CHECK_SERVER, quotes: true },
  '0A': { code: 'StatementInvalid', says: 'does not support what was asked', quotes: true },
  // Values: from here on the server's message may quote one, so it is never shown.
  '22': { code: 'DataRejected', says: 'refused a value', next: LOOK_AT_DATA },
  '22001': { code: 'DataRejected', says: 'refused a value that is too long', next: LOOK_AT_DATA },
  '22003': { code: 'DataRejected', says: 'refused a number that is out of range', next: LOOK_AT_DATA },
  '22008': { code: 'DataRejected', says: 'refused a date or time that is out of range', next: LOOK_AT_DATA },
  '22021': {
    code: 'DataRejected',
    says: "refused a text that is invalid in the database's encoding",
    next: LOOK_AT_DATA,
  },
  '22P02': { code: 'DataRejected', says: 'refused a value that is invalid for its type', next: LOOK_AT_DATA },
  '22P03': { code: 'DataRejected', says: 'refused a binary value', next: LOOK_AT_DATA },
  '22P04': { code: 'DataRejected', says: 'refused the form of the COPY data', next: LOOK_AT_DATA },
  '23': { code: 'DataRejected', says: 'refused a row by a constraint', next: LOOK_AT_DATA },
  '23502': { code: 'DataRejected', says: 'refused a NULL', next: LOOK_AT_DATA },
  '23503': { code: 'DataRejected', says: 'refused a row by a foreign key', next: LOOK_AT_DATA },
  '23505': { code: 'DataRejected', says: 'refused a duplicate key', next: LOOK_AT_DATA },
  '23514': { code: 'DataRejected', says: 'refused a row by a check constraint', next: LOOK_AT_DATA },
  '44': { code: 'DataRejected', says: 'refused a row by a check option', next: LOOK_AT_DATA },
  '54': { code: 'DataRejected', says: 'refused something beyond its limits', quotes: true, next: LOOK_AT_DATA },
  P0: { code: 'DataRejected', says: 'stopped in a function or trigger of its own' },
  // The server or its settings.
  '25006': { code: 'ConnectionFailed', says: 'is read-only', next: 'Connect to the primary.', quotes: true },
  '28': { code: 'ConnectionFailed', says: 'refused the sign-in', next: CHECK_SIGN_IN, quotes: true },
  '3D': { code: 'ConnectionFailed', says: 'has no such database', next: CHECK_SIGN_IN, quotes: true },
  '53': {
    code: 'ServerFull',
    says: 'has run out of a resource',
    next: 'Free disk or memory on the server.',
    quotes: true,
  },
  '53300': {
    code: 'ConnectionFailed',
    says: 'has no connection left',
    next: 'Lower maxSessions, or raise max_connections.',
    quotes: true,
  },
  '57014': { code: 'Unknown', says: 'cancelled the statement', quotes: true },
  '57P01': { code: 'ConnectionFailed', says: 'ended the session', next: CHECK_SERVER, quotes: true },
  '57P02': { code: 'ConnectionFailed', says: 'crashed', next: CHECK_SERVER, quotes: true },
  '57P03': { code: 'ConnectionFailed', says: 'takes no connections now', next: CHECK_SERVER, quotes: true },
  '57P04': { code: 'ConnectionFailed', says: 'dropped the database', next: CHECK_SERVER, quotes: true },
  '57P05': { code: 'ConnectionFailed', says: 'ended the session', next: CHECK_SERVER, quotes: true },
  // Other transactions.
  '40': { code: 'Conflict', says: 'rolled back in favour of another transaction', quotes: true },
  '55P03': {
    code: 'LockTimeout',
    says: 'did not give a lock in time',
    quotes: true,
    next: 'See which session holds the lock (pg_blocking_pids).',
  },
  // What was asked.
  '26': { code: 'StatementInvalid', says: 'refused a statement', quotes: true },
  '3F': { code: 'StatementInvalid', says: 'refused a statement', quotes: true },
  '42': { code: 'StatementInvalid', says: 'refused a statement', quotes: true },
  '42501': { code: 'PermissionDenied', says: 'refused for lack of a privilege', quotes: true },
  // Seen as they are.
  '25': { code: 'Unknown', says: 'refused a statement in this state of the transaction', quotes: true },
  '55': { code: 'Unknown', says: 'found an object in the wrong state', quotes: true },
  '57': { code: 'Unknown', says: 'was interrupted', quotes: true },
  '58030': {
    code: 'ServerFull',
    says: 'could not read or write its files',
    next: 'Look at the disks of the server; the copy goes on by itself when they work.',
    quotes: true,
  },
  '58': { code: 'Unknown', says: 'had a system error', quotes: true },
  XX: { code: 'Unknown', says: 'had an internal error', quotes: true },
};

const WRITES: Rule = { code: 'StatementInvalid', says: 'refused a statement that writes', quotes: true };

/** A stream or socket that was ended under whoever wrote to it. */
const ENDED_CODE = /^ERR_(STREAM|SOCKET)_/;

/** Node's error codes of a socket. Their messages hold addresses, so they are not shown. */
const BY_NODE_CODE: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing accepts connections at its address',
  ECONNRESET: 'the server or the network closed the connection',
  ECONNABORTED: 'the connection was aborted',
  EPIPE: 'the server or the network closed the connection',
  ETIMEDOUT: 'the server did not answer in time',
  EHOSTUNREACH: 'its host is unreachable',
  ENETUNREACH: 'its network is unreachable',
  ENOTFOUND: 'its host name is unknown',
  EAI_AGAIN: 'its host name could not be looked up',
  ENOENT: 'its Unix socket does not exist',
  EACCES: 'its Unix socket may not be opened',
  EHOSTDOWN: 'its host is down',
  ENETDOWN: "this machine's network is down",
  EADDRNOTAVAIL: 'this machine has no local address or port left for it',
  EMFILE: 'this worker has no file descriptor left: raise its limit (ulimit -n)',
  ENFILE: 'this machine has no file descriptor left',
};

/** What pg itself says, without a code. */
const BY_MESSAGE: readonly (readonly [RegExp, string])[] = [
  [/^Connection terminated|not queryable$/, 'the connection was closed'],
  [/^timeout expired$/, 'the server did not answer in time'],
  [/does not support SSL|establishing an SSL connection/, 'the server does not offer TLS'],
  [/^SASL|password must be a string|unsupported auth/i, 'signing in failed: check user and password'],
];

/** Node's and OpenSSL's codes of a TLS handshake that failed on a certificate. */
const TLS_CODE = /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|HOSTNAME_MISMATCH|EPROTO)/;

/** What is wrong with the server's certificate, and what mends it; the first that fits, of the codes above. */
const BY_TLS_CODE: readonly (readonly [RegExp, string, string])[] = [
  [
    /^(ERR_TLS_CERT_ALTNAME|HOSTNAME_MISMATCH)/,
    "the server's certificate is for another host name",
    'Write the host as the certificate names it, or use mode verify-ca, which does not compare it.',
  ],
  [
    /^CERT_(HAS_EXPIRED|NOT_YET_VALID)/,
    "the server's certificate is out of date",
    "Renew it, or correct this machine's clock.",
  ],
  [
    /^(SELF_SIGNED|DEPTH_ZERO|UNABLE_TO|CERT_)/,
    "the server's certificate is not from an authority that is trusted here",
    'Name the PEM file of its authority: ca under tls in longhaul.yaml, or sslrootcert in the url.',
  ],
  [/^/, 'TLS could not be established', 'Check tls in longhaul.yaml.'],
];

/**
 * A driver's error as a LonghaulError that names the connection, without any value of a row: DETAIL, CONTEXT and the statement
 * are dropped. An aborted signal's reason is returned as it is. The driver's error isn't kept as `cause`, since causes are printed;
 * `serverFieldsOf` has it.
 */
export function mapError(error: unknown, context: ErrorContext): unknown {
  if (context.signal?.aborted) return context.signal.reason;
  if (error instanceof LonghaulError) return error;
  const sqlstate = sqlstateOf(error);
  return sqlstate === undefined ? clientError(error, context) : serverError(sqlstate, error as ServerFields, context);
}

/** The SQLSTATE of a server's error, undefined for any other. */
export function sqlstateOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined;
  // Node's codes may have five characters too (EPIPE), but no digit.
  return /^(?=.*\d)[0-9A-Z]{5}$/.test(error.code) ? error.code : undefined;
}

/** The fields of an ErrorResponse. `message`, `detail` and `where` may quote rows: nothing of them leaves the destination. */
export interface ServerFields extends Error {
  readonly schema?: string | undefined;
  readonly table?: string | undefined;
  readonly column?: string | undefined;
  readonly constraint?: string | undefined;
  readonly where?: string | undefined;
  readonly detail?: string | undefined;
}

const ORIGINS = new WeakMap<LonghaulError, ServerFields>();

/** What the server said, of an error that `mapError` made. */
export function serverFieldsOf(error: unknown): ServerFields | undefined {
  return error instanceof LonghaulError ? ORIGINS.get(error) : undefined;
}

/** `refused a NULL`: what an error of the server means, in our words, without a value. */
export function sqlstateSays(sqlstate: string): string {
  return ruleFor(sqlstate, {}).says;
}

/** Line and column of the data that a COPY was refused for, as the server tells them. */
export function copyPlaceOf({ where = '' }: Pick<ServerFields, 'where'>): { line?: number; column?: string } {
  const line = /^COPY .*?, line (\d+)/.exec(where)?.[1];
  const column = /^COPY .*?, line \d+, column ([^:\n]+)/.exec(where)?.[1];
  return { ...(line !== undefined && { line: Number(line) }), ...(column !== undefined && { column }) };
}

function serverError(sqlstate: string, error: ServerFields, context: ErrorContext): LonghaulError {
  const rule = ruleFor(sqlstate, context);
  const what = rule.quotes ? `: ${safeMessage(sqlstate, error.message)}` : objectNames(error, context);
  const message = `Connection "${context.connection}": the server ${rule.says}${what} (SQLSTATE ${sqlstate})`;
  const next = sqlstate === '42501' ? mendPrivilege(error, context) : rule.next;
  const mapped = new LonghaulError(rule.code, message, next === undefined ? {} : { next });
  ORIGINS.set(mapped, error);
  return mapped;
}

function ruleFor(sqlstate: string, { readOnly }: Pick<ErrorContext, 'readOnly'>): Rule {
  if (sqlstate === '25006' && readOnly) return WRITES;
  return BY_SQLSTATE[sqlstate] ?? BY_SQLSTATE[sqlstate.slice(0, 2)] ?? { code: 'Unknown', says: 'had an error' };
}

/** Row security is off in every transaction: a policy that would hide rows is an error. */
function mendPrivilege(error: Error, { grant }: ErrorContext): string {
  if (/row-level security/.test(error.message)) {
    return 'Use a role with BYPASSRLS, or the owner of the table: its policies would silently hide rows.';
  }
  return grant === undefined ? 'Grant the privilege, then retry.' : `Run: ${grant}`;
}

const LONGEST_MESSAGE = 300;

/** A syntax error quotes the statement, which may be a condition with literals in it: only words are left. */
function safeMessage(sqlstate: string, message: string): string {
  const shown =
    sqlstate === '42601'
      ? message.replace(/".*"/s, (quoted) => (/^"[A-Za-z_(),;]+"$/.test(quoted) ? quoted : '"…"'))
      : message;
  return shown.length > LONGEST_MESSAGE ? `${shown.slice(0, LONGEST_MESSAGE)}…` : shown;
}

/** ` (file part-3.csv, line 17, column x, type uuid, constraint y)`: what can be told without a value. */
function objectNames(error: ServerFields, context: ErrorContext): string {
  const type = /^(?:invalid input syntax|value too long) for type ([a-z ]+(?:\(\d+\))?)/.exec(error.message)?.[1];
  const { line, column = error.column } = copyPlaceOf(error);
  const place = line === undefined ? undefined : context.place?.(line);
  const known = [
    place && placeText(place),
    column && `column ${column}`,
    type && `type ${type}`,
    error.table && `table ${error.table}`,
    error.constraint && `constraint ${error.constraint}`,
    line !== undefined && !place && `row ${line} of the stream`,
  ].filter(Boolean);
  return known.length === 0 ? '' : ` (${known.join(', ')})`;
}

/** `file part-3.csv, line 17`. */
export function placeText({ file, line }: Place): string {
  return file === undefined ? `line ${line}` : `file ${file}, line ${line}`;
}

function clientError(error: unknown, { connection }: ErrorContext): LonghaulError {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
  if (TLS_CODE.test(code)) {
    const [, what, next] = BY_TLS_CODE.find(([pattern]) => pattern.test(code))!;
    return new LonghaulError('ConnectionFailed', `Connection "${connection}": ${what} (${code})`, { next });
  }
  const lost = lostBecause(error, code);
  if (lost !== undefined) {
    return new LonghaulError('ConnectionFailed', `Connection "${connection}": ${lost}`, { next: CHECK_SERVER });
  }
  const message = error instanceof Error ? error.message : String(error);
  return new LonghaulError('Unknown', `Connection "${connection}": ${message}`);
}

function lostBecause(error: unknown, code: string): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const known = BY_NODE_CODE[code];
  if (known !== undefined) return `${known} (${code})`;
  if (ENDED_CODE.test(code)) return `the connection was closed (${code})`;
  // Any other call of the system that failed: its message holds an address or a path.
  if ('syscall' in error) return `the connection failed (${code})`;
  return BY_MESSAGE.find(([pattern]) => pattern.test(error.message))?.[1];
}
