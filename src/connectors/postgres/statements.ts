import { LonghaulError } from '../../core/errors.js';
import { numbered } from '../../core/named-parameters.js';
import type { SessionOptions, StatementSession } from '../types.js';
import type { PostgresConnectionConfig } from './config.js';
import { openStatementSession, type PgSession } from './session.js';
import type { TransactionKind } from './transaction.js';

/** Rows that are in memory at a time. */
const BATCH = 1_000;

type Values = Readonly<Record<string, string>>;

/** Opens a session for statements that a job names. Throws ConnectionFailed, SessionLimit, or `signal.reason`. */
export async function openStatements(
  config: PostgresConnectionConfig,
  options: SessionOptions,
): Promise<StatementSession> {
  return new PostgresStatements(await openStatementSession(config, options));
}

class PostgresStatements implements StatementSession {
  constructor(private readonly session: PgSession) {}

  /** The transaction lasts until the rows were read to their end, or left. */
  async query(sql: string): ReturnType<StatementSession['query']> {
    await this.session.begin('list');
    try {
      await this.session.texts(`DECLARE longhaul_list NO SCROLL CURSOR FOR ${sql}`);
      const first = await this.#fetch();
      return { columns: first.columns, rows: this.#batches(first.rows) };
    } catch (error) {
      await this.session.rollback();
      throw error;
    }
  }

  async *#batches(first: (string | null)[][]): AsyncGenerator<(string | null)[][]> {
    try {
      for (let rows = first; rows.length > 0; rows = (await this.#fetch()).rows) yield rows;
    } finally {
      await this.session.rollback();
    }
  }

  #fetch() {
    return this.session.texts(`FETCH FORWARD ${BATCH} FROM longhaul_list`);
  }

  async execute(sql: string, values: readonly Values[]): Promise<void> {
    const { text, names } = numbered(sql);
    await this.#within('telling', async () => {
      for (const each of values)
        await this.session.texts(
          text,
          names.map((name) => each[name]!),
        );
      await this.session.commit();
    });
  }

  async check(sql: string): Promise<void> {
    const { text, names } = numbered(sql);
    await this.#within('list', async () => {
      await this.session.parse(text);
      await this.#explain(text, names);
      await this.session.rollback();
    });
  }

  /** Finds a missing privilege too. What has no plan (CALL) is refused as a mistake in the text, which it is not: it was parsed. */
  async #explain(text: string, names: readonly string[]): Promise<void> {
    try {
      await this.session.texts(
        `EXPLAIN ${text}`,
        names.map(() => null),
      );
    } catch (error) {
      if (!(error instanceof LonghaulError) || error.code !== 'StatementInvalid') throw error;
    }
  }

  async #within(kind: TransactionKind, work: () => Promise<void>): Promise<void> {
    await this.session.begin(kind);
    try {
      await work();
    } catch (error) {
      await this.session.rollback();
      throw error;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(this.session[Symbol.asyncDispose]());
  }
}
