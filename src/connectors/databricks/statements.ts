import { namesIn } from '../../core/named-parameters.js';
import type { SessionOptions, StatementSession } from '../types.js';
import { WarehouseClient } from './client.js';
import type { DatabricksConnectionConfig } from './config.js';
import type { Timing } from './http.js';

type Values = Readonly<Record<string, string>>;

/** What EXPLAIN answers with, instead of failing, for a statement that could not be planned. */
const NOT_PLANNED =
  /^(?:== Physical Plan ==\s*)?(?:Error occurred during query planning:\s*|org\.apache\.spark\S*:\s*)/;

/** A session for statements that a job names. Nothing is opened before the first one: there is no session at a warehouse. */
export function openStatements(
  config: DatabricksConnectionConfig,
  { signal }: SessionOptions,
  timing?: Timing,
): Promise<StatementSession> {
  return Promise.resolve(new WarehouseStatements(new WarehouseClient(config, signal, timing)));
}

/**
 * Differs from the contract in one thing: a warehouse has no transaction over several statements, so what `execute` has run before
 * one of them fails stays, and is run again with the rest when it is called again.
 */
class WarehouseStatements implements StatementSession {
  constructor(private readonly client: WarehouseClient) {}

  /**
   * That nothing is written is looked at by grammar: within EXISTS (…) the parser takes nothing but a query, and EXPLAIN runs
   * nothing. (Within FROM (…) it would not do: `VACUUM t` is a table there, and its alias.)
   */
  async query(sql: string): ReturnType<StatementSession['query']> {
    const text = withoutEnd(sql);
    await this.#explain(`SELECT EXISTS (\n${text}\n)`);
    const { columns, batches } = await this.client.run({ sql: text, repeatable: true });
    return { columns, rows: batches() };
  }

  async execute(sql: string, values: readonly Values[]): Promise<void> {
    const names = namesIn(sql);
    const text = withoutEnd(sql);
    for (const each of values) {
      const parameters = Object.fromEntries(names.map((name) => [name, each[name]!]));
      await this.client.run({ sql: text, parameters, repeatable: false });
    }
  }

  async check(sql: string): Promise<void> {
    const parameters = Object.fromEntries(namesIn(sql).map((name) => [name, null]));
    await this.#explain(withoutEnd(sql), parameters);
  }

  async #explain(text: string, parameters: Readonly<Record<string, null>> = {}): Promise<void> {
    const rows = await this.client.rows({ sql: `EXPLAIN ${text}`, parameters, repeatable: true });
    const plan = rows.map(([line]) => line ?? '').join('\n');
    const refusal = NOT_PLANNED.exec(plan);
    if (refusal !== null)
      throw this.client.http.errors.statement({ message: plan.slice(refusal[0].length), code: 'BAD_REQUEST' });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

/** A semicolon at the end is taken off: a statement stands within another one here. */
function withoutEnd(sql: string): string {
  return sql.trim().replace(/;$/, '');
}
