import { LonghaulError, type ErrorCode } from '../../core/errors.js';
import { bounded } from '../../core/text.js';
import { redactor } from '../redact.js';
import type { DatabricksConnectionConfig } from './config.js';

const CHECK_SERVICE = 'Look at the workspace and its SQL warehouse; the copy goes on by itself when they are back.';
const CHECK_SIGN_IN = 'Correct host, token or client of this connection in longhaul.yaml, and restart the worker.';
const CHECK_GRANTS = 'Grant what is missing to the principal of this connection.';
const LOOK_AT_DATA = 'Correct the data or the target column, then retry.';
const AGAIN = 'It is tried again by itself.';

/** Bytes of the service's message that are shown. */
const SHOWN = 400;

interface Rule {
  readonly code: ErrorCode;
  readonly says: string;
  readonly next?: string;
  /** The service's own message is shown: it names objects, never values of rows. */
  readonly quotes?: true;
}

/** By the error class in brackets with which messages of Spark begin: the first that fits. */
const BY_CLASS: readonly (readonly [RegExp, Rule])[] = [
  [
    /^(DELTA_CONCURRENT|DELTA_METADATA_CHANGED|DELTA_PROTOCOL_CHANGED|COPY_INTO_.*CONFLICT)/,
    { code: 'Conflict', says: 'refused a commit in favour of another one', next: AGAIN, quotes: true },
  ],
  [
    /^(INSUFFICIENT_PERMISSIONS|PERMISSION_DENIED|UNAUTHORIZED_ACCESS)/,
    { code: 'PermissionDenied', says: 'refused for lack of a privilege', next: CHECK_GRANTS, quotes: true },
  ],
];

const WRONG: Rule = { code: 'StatementInvalid', says: 'refused a statement', quotes: true };
const REFUSED_DATA: Rule = { code: 'DataRejected', says: 'refused a value', next: LOOK_AT_DATA };

/** By SQLSTATE: five characters, else its class of two. */
const BY_SQLSTATE: Readonly<Record<string, Rule>> = {
  // Their messages quote values.
  '22': REFUSED_DATA,
  '23': { ...REFUSED_DATA, says: 'refused a row by a constraint' },
  '0A': { code: 'StatementInvalid', says: 'does not support what was asked', quotes: true },
  '2D521': { code: 'Conflict', says: 'refused a commit in favour of another one', next: AGAIN, quotes: true },
  '40': { code: 'Conflict', says: 'refused a commit in favour of another one', next: AGAIN, quotes: true },
  '42': WRONG,
  '42501': { code: 'PermissionDenied', says: 'refused for lack of a privilege', next: CHECK_GRANTS, quotes: true },
  '53': { code: 'ServerFull', says: 'has run out of a resource', next: 'Enlarge the SQL warehouse.', quotes: true },
  '54': { code: 'StatementInvalid', says: 'refused what is beyond its limits', quotes: true },
  '57': { code: 'ConnectionFailed', says: 'was interrupted', next: CHECK_SERVICE, quotes: true },
  '58': { code: 'ConnectionFailed', says: 'could not reach its storage', next: CHECK_SERVICE, quotes: true },
};

const AWAY: Rule = { code: 'ConnectionFailed', says: 'is not available', next: CHECK_SERVICE, quotes: true };
const BUSY: Rule = { code: 'ConnectionFailed', says: 'is busy', next: CHECK_SERVICE, quotes: true };

/** By the API's own code of a failed statement, where there is no SQLSTATE. */
const BY_CODE: Readonly<Record<string, Rule>> = {
  BAD_REQUEST: WRONG,
  NOT_FOUND: WRONG,
  ALREADY_EXISTS: WRONG,
  UNAUTHENTICATED: { code: 'ConnectionFailed', says: 'refused the sign-in', next: CHECK_SIGN_IN, quotes: true },
  RESOURCE_EXHAUSTED: BUSY,
  TEMPORARILY_UNAVAILABLE: AWAY,
  SERVICE_UNDER_MAINTENANCE: AWAY,
  WORKSPACE_TEMPORARILY_UNAVAILABLE: AWAY,
  IO_ERROR: AWAY,
};

const UNKNOWN: Rule = { code: 'Unknown', says: 'failed at a statement', quotes: true };

/** By the status of an answer; others below 500 say that the request is wrong. */
const BY_STATUS: Readonly<Record<number, Rule>> = {
  401: { code: 'ConnectionFailed', says: 'refused the sign-in', next: CHECK_SIGN_IN, quotes: true },
  403: { code: 'PermissionDenied', says: 'refused for lack of a privilege', next: CHECK_GRANTS, quotes: true },
  404: { code: 'StatementInvalid', says: 'does not have what was asked for', quotes: true },
  429: BUSY,
  507: { code: 'ServerFull', says: 'has run out of space', quotes: true },
};

/** What the service said of a failure. */
export interface Failure {
  readonly message?: string | undefined;
  readonly code?: string | undefined;
  readonly sqlState?: string | undefined;
}

/** Of errors of one connection. Nothing here repeats a secret of it. */
export class DatabricksErrors {
  readonly #name: string;
  readonly #redact: (text: string) => string;

  constructor({ name, token, client }: DatabricksConnectionConfig) {
    this.#name = name;
    this.#redact = redactor([token, client?.secret].filter((secret) => secret !== undefined));
  }

  /** Of a statement that the warehouse took and did not finish. */
  statement(failure: Failure): LonghaulError {
    return this.#made(ruleOf(failure), failure.message);
  }

  /** Of a request that was answered with this status. */
  status(status: number, failure: Failure): LonghaulError {
    const rule = BY_STATUS[status] ?? (status >= 500 ? AWAY : WRONG);
    return this.#made(rule, failure.message ?? `HTTP status ${status}`);
  }

  /** Of a request that was not answered. `why` is ours: a driver's message may hold an address. */
  unanswered(why: string, cause?: unknown): LonghaulError {
    const message = `Connection "${this.#name}" did not answer: ${why}.`;
    return new LonghaulError('ConnectionFailed', message, { next: CHECK_SERVICE, cause });
  }

  of(code: ErrorCode, says: string, next?: string): LonghaulError {
    return new LonghaulError(code, `Connection "${this.#name}" ${says}.`, next === undefined ? {} : { next });
  }

  #made({ code, says, next, quotes }: Rule, said = ''): LonghaulError {
    const quoted = quotes === true && said !== '' ? `: ${this.#shown(said)}` : '';
    return this.of(code, `${says}${quoted.replace(/\.$/, '')}`, next);
  }

  /** What follows the first line repeats the statement, which may hold values of keys. */
  #shown(message: string): string {
    const first = message.split(/\r?\n|== SQL/)[0]!.trim();
    return bounded(this.#redact(first), SHOWN);
  }
}

function ruleOf({ message = '', code = '', sqlState }: Failure): Rule {
  const named = /^\[([A-Z0-9_.]+)\]/.exec(message)?.[1] ?? '';
  const state = sqlState ?? /SQLSTATE: ([0-9A-Z]{5})/.exec(message)?.[1] ?? '';
  return (
    BY_CLASS.find(([pattern]) => pattern.test(named))?.[1] ??
    BY_SQLSTATE[state] ??
    BY_SQLSTATE[state.slice(0, 2)] ??
    BY_CODE[code] ??
    UNKNOWN
  );
}

/** What Node says of a connection that could not be made: such a request was never sent. */
const NEVER_SENT: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing accepts connections at its address',
  ENOTFOUND: 'its host name is unknown',
  EAI_AGAIN: 'its host name could not be looked up',
  EHOSTUNREACH: 'its host is unreachable',
  ENETUNREACH: 'its network is unreachable',
  UND_ERR_CONNECT_TIMEOUT: 'its host could not be reached in time',
};

/** Why a request of `fetch` failed, and whether it can have arrived. */
export function lostRequest(error: unknown): { readonly why: string; readonly sent: boolean } {
  const code = causeCode(error);
  const never = code === undefined ? undefined : NEVER_SENT[code];
  if (never !== undefined) return { why: never, sent: false };
  if (code !== undefined && /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO)/.test(code))
    return { why: `its certificate is not accepted (${code})`, sent: false };
  return { why: 'the connection ended before an answer came', sent: true };
}

function causeCode(error: unknown): string | undefined {
  for (let at: unknown = error; at instanceof Error; at = at.cause)
    if ('code' in at && typeof at.code === 'string') return at.code;
  return undefined;
}
