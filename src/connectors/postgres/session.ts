import type pg from 'pg';
import { LonghaulError } from '../../core/errors.js';
import type { SessionOptions } from '../types.js';
import type { PostgresConnectionConfig } from './config.js';
import { connect, destroySocket, endSocket } from './connect.js';
import { mapError, type ErrorContext } from './errors.js';
import { backendPid, isPooled, refuseTransactionPooling } from './pooler.js';
import type { Leave } from '../gate.js';
import { enterGate, takeSlot, type SessionSide } from './slots.js';
import { beginStatements, type TransactionKind } from './transaction.js';
import { parseOnly } from './parse-only.js';
import { cancelOnServer } from './wire/index.js';

/** How long a clean goodbye may take, in milliseconds, before the socket is destroyed. */
const GOODBYE_MS = 2_000;

/**
 * One signed-in connection of one attempt, holding one of the connection's session slots. When the signal is aborted, the running
 * statement is cancelled on the server, the socket is destroyed, and whatever waits rejects with `signal.reason`; the session can't be
 * used any more.
 */
export interface PgSession extends AsyncDisposable {
  /** The connection's name in longhaul.yaml. */
  readonly name: string;
  readonly config: PostgresConnectionConfig;
  readonly options: SessionOptions;
  /** For COPY. Its errors are the driver's: pass them through `mapped`. */
  readonly client: pg.Client;
  /** The backend's process id, as pg_stat_activity and pg_locks show it. */
  readonly pid: number;
  /** server_version_num, e.g. 180004. */
  readonly serverVersion: number;
  /** Oid and name of the database, and whether this role may ask which system it belongs to. */
  readonly database: { readonly name: string; readonly mayAskSystem: boolean };
  /**
   * The rows of one statement (of the last one, of several without values). Throws LonghaulError, or `signal.reason`. int8, numeric,
   * dates and times come as text.
   */
  query<R extends pg.QueryResultRow>(text: string, values?: readonly unknown[]): Promise<R[]>;
  /**
   * Throws ServerUnsuitable when the connection leads through a pooler in transaction mode, at the cost of a second sign-in. What gives
   * itself away at the first sign-in was refused then; this finds one that doesn't.
   */
  refusePooling(): Promise<void>;
  /** The columns of a statement's result. */
  fields(text: string): Promise<readonly pg.FieldDef[]>;
  /** Runs a statement for its effect; resolves with the number of rows in its command tag. */
  execute(text: string, values?: readonly unknown[]): Promise<number>;
  /** As `query`, of exactly one statement: its columns, and each value as the server writes it. */
  texts(text: string, values?: readonly (string | null)[]): Promise<Texts>;
  /** Has the server read one statement without running it. Throws as `query`. */
  parse(text: string): Promise<void>;
  /** Begins a transaction with its isolation stated and its settings pinned. */
  begin(kind: TransactionKind): Promise<void>;
  /** Resolves when the server has committed. Throws Unknown when it answered with ROLLBACK, as it does for a failed transaction. */
  commit(): Promise<void>;
  /** Never throws: a session that can't roll back is destroyed, and its server rolls back. */
  rollback(): Promise<void>;
  /** Ends our side alone: the server goes on with the running statement, and ends the session when it would answer. */
  abandon(): void;
  /** A driver's error of this session as a LonghaulError, or the reason of the abort. */
  mapped(error: unknown, known?: Pick<ErrorContext, 'grant' | 'place'>): unknown;
}

export interface Texts {
  readonly columns: readonly string[];
  readonly rows: (string | null)[][];
}

/**
 * Waits for a place in this process, signs in and takes a session slot of its side of the connection. Throws ConnectionFailed, SessionLimit, ServerUnsuitable (a transaction-mode pooler),
 * or `signal.reason`.
 */
export async function openSession(
  config: PostgresConnectionConfig,
  options: SessionOptions,
  side: SessionSide,
): Promise<PgSession> {
  const leave = await enterGate(config, side, options.signal);
  const session = await signIn(config, options, side, leave);
  try {
    await session.open();
    return session;
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw session.mapped(error);
  }
}

/**
 * As `openSession`, for statements in transactions of their own: any pooler will do, and no slot at the server is taken, so that no
 * copying waits for them.
 */
export async function openStatementSession(
  config: PostgresConnectionConfig,
  options: SessionOptions,
): Promise<PgSession> {
  const session = await signIn(config, options, 'statements', await enterGate(config, 'statements', options.signal));
  try {
    await session.identify();
    return session;
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw session.mapped(error);
  }
}

async function signIn(
  config: PostgresConnectionConfig,
  options: SessionOptions,
  side: SessionSide,
  leave: Leave,
): Promise<Session> {
  try {
    return new Session(config, options, side, await connect(config, options.label, options.signal), leave);
  } catch (error) {
    leave();
    throw error;
  }
}

/** The extended protocol, whose messages hold one statement: what else a text has is a syntax error. Its type lacks this option. */
const ONE_STATEMENT: object = { queryMode: 'extended' };

/** Asked when a session begins: search_path is what it is then. */
const PLACE = `
  SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4 AS version,
    oid OPERATOR(pg_catalog.||) '/' OPERATOR(pg_catalog.||) datname AS name,
    pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS "mayAskSystem"
  FROM pg_catalog.pg_database WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()`;

class Session implements PgSession {
  pid = 0;
  serverVersion = 0;
  database = { name: '', mayAskSystem: false };
  #running = 0;
  #readOnly = false;
  #over = false;

  constructor(
    readonly config: PostgresConnectionConfig,
    readonly options: SessionOptions,
    private readonly side: SessionSide,
    readonly client: pg.Client,
    private readonly leave: Leave,
  ) {
    options.signal.addEventListener('abort', this.#onAbort);
  }

  async open(): Promise<void> {
    this.pid = await backendPid(this.client);
    if (isPooled(this.client, this.pid)) await this.refusePooling();
    await this.identify();
    await takeSlot(this.client, this.config, this.side, this.options.signal);
  }

  async identify(): Promise<void> {
    const [row] = await this.query<{ version: number; name: string; mayAskSystem: boolean }>(PLACE);
    const { version, ...database } = row!;
    this.serverVersion = version;
    this.database = database;
  }

  get name(): string {
    return this.config.name;
  }

  async refusePooling(): Promise<void> {
    const other = await connect(this.config, this.options.label, this.options.signal);
    try {
      await refuseTransactionPooling(this.name, this.client, other);
    } catch (error) {
      throw this.mapped(error);
    } finally {
      await goodbye(other);
    }
  }

  async query<R extends pg.QueryResultRow>(text: string, values?: readonly unknown[]): Promise<R[]> {
    return (await this.#send<R>(text, values)).rows;
  }

  async execute(text: string, values?: readonly unknown[]): Promise<number> {
    return (await this.#send(text, values)).rowCount ?? 0;
  }

  async fields(text: string): Promise<readonly pg.FieldDef[]> {
    return (await this.#send(text)).fields;
  }

  async texts(text: string, values: readonly (string | null)[] = []): Promise<Texts> {
    const types = { getTypeParser: () => String };
    const query = { text, values: [...values], types, rowMode: 'array' as const, ...ONE_STATEMENT };
    const { fields, rows } = await this.#run(() => this.client.query<(string | null)[]>(query));
    return { columns: fields.map(({ name }) => name), rows };
  }

  async parse(text: string): Promise<void> {
    await this.#run(() => parseOnly(this.client, text));
  }

  async begin(kind: TransactionKind): Promise<void> {
    this.#readOnly = kind === 'source' || kind === 'list';
    await this.query(beginStatements(kind, this.serverVersion, this.config.settings));
  }

  async commit(): Promise<void> {
    const { command } = await this.#send('COMMIT');
    if (command === 'COMMIT') return;
    throw new LonghaulError('Unknown', `Connection "${this.name}": COMMIT was answered with ${command}`);
  }

  async rollback(): Promise<void> {
    try {
      await this.query('ROLLBACK');
    } catch (error) {
      this.options.log.debug({ connection: this.name, error: String(error) }, 'rolled back by ending the session');
      destroySocket(this.client);
    }
  }

  mapped(error: unknown, known: Pick<ErrorContext, 'grant' | 'place'> = {}): unknown {
    const { signal } = this.options;
    return mapError(error, { ...known, connection: this.name, signal, readOnly: this.#readOnly });
  }

  abandon(): void {
    if (this.#over) return;
    this.#over = true;
    this.options.signal.removeEventListener('abort', this.#onAbort);
    endSocket(this.client);
    this.leave();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    this.options.signal.removeEventListener('abort', this.#onAbort);
    try {
      if (this.#running > 0) await cancelOnServer(this.client);
      await goodbye(this.client);
    } finally {
      this.leave();
    }
  }

  async #send<R extends pg.QueryResultRow>(text: string, values?: readonly unknown[]): Promise<pg.QueryResult<R>> {
    const result = await this.#run(() =>
      values === undefined ? this.client.query<R>(text) : this.client.query<R>(text, [...values]),
    );
    return Array.isArray(result) ? (result.at(-1) as pg.QueryResult<R>) : result;
  }

  async #run<T>(work: () => Promise<T>): Promise<T> {
    this.options.signal.throwIfAborted();
    this.#running++;
    try {
      return await work();
    } catch (error) {
      throw this.mapped(error);
    } finally {
      this.#running--;
    }
  }

  /** The socket's end makes the waiting query reject; what is cancelled during a COPY is the COPY's own doing. */
  readonly #onAbort = () => {
    if (this.#running > 0) void cancelOnServer(this.client);
    destroySocket(this.client);
  };
}

/** Resolves when the connection has ended, by itself or not. */
async function goodbye(client: pg.Client): Promise<void> {
  const timer = setTimeout(() => destroySocket(client), GOODBYE_MS);
  try {
    await client.end();
  } finally {
    clearTimeout(timer);
  }
}
