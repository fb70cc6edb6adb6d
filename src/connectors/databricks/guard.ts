import { LonghaulError } from '../../core/errors.js';
import type { WarehouseClient } from './client.js';
import { literal, quoted, tableSql, type WarehouseTable } from './names.js';

/**
 * `open`: statements that publish may run. `finishing`: one has succeeded, and none that begins later can. `done`: it is published.
 * `closed`: it is not published, and nothing that begins later can. `mismatch`: it is visible with another number of rows than counted.
 */
export type GuardState = 'open' | 'finishing' | 'done' | 'closed' | 'mismatch';

export interface GuardFacts {
  readonly state: GuardState;
  /** The target's version before anything of this epoch was sent to it. Absent: the guard was never open. */
  readonly base?: number;
}

/**
 * An empty table beside the staging table, one for each epoch of publishing. Every statement that publishes names its column `open`,
 * so that the warehouse itself refuses a statement which begins after the column is gone: one that waited in its queue, or that a
 * process sends which was held up. The catalog lets one of many create it; from then on the name is taken, whatever its state.
 */
export class Guard {
  constructor(
    private readonly client: WarehouseClient,
    readonly name: WarehouseTable,
  ) {}

  /** True in every row, where the statement is let begin. */
  get condition(): string {
    return `(SELECT count(${quoted('open')}) FROM ${tableSql(this.name)}) = 0`;
  }

  /** Creates it open, unless it is there. */
  async open(base: number): Promise<GuardFacts> {
    await this.#create('IF NOT EXISTS', { state: 'open', base });
    return this.#facts();
  }

  /** Makes sure that it is not open. Answers with what it was before, or `closed` where it was not there. */
  async close(): Promise<GuardFacts> {
    await this.#create('IF NOT EXISTS', { state: 'closed' });
    const before = await this.#facts();
    if (before.state === 'open') await this.become({ ...before, state: 'closed' });
    return before;
  }

  /** In one step. */
  become(facts: GuardFacts): Promise<void> {
    return this.#create('OR REPLACE', facts);
  }

  async #create(how: 'IF NOT EXISTS' | 'OR REPLACE', { state, base }: GuardFacts): Promise<void> {
    const [before, after] = how === 'OR REPLACE' ? [' OR REPLACE', ''] : ['', ' IF NOT EXISTS'];
    const properties = [
      `'longhaul.state' = ${literal(state)}`,
      ...(base === undefined ? [] : [`'longhaul.base' = '${base}'`]),
    ];
    const sql =
      `CREATE${before} TABLE${after} ${tableSql(this.name)} (${quoted(state)} BOOLEAN) USING DELTA ` +
      `TBLPROPERTIES (${properties.join(', ')})`;
    await this.client.run({ sql, repeatable: true });
  }

  async #facts(): Promise<GuardFacts> {
    const rows = await this.client.rows({ sql: `SHOW TBLPROPERTIES ${tableSql(this.name)}`, repeatable: true });
    const properties = new Map(rows.map(([key, value]) => [key, value]));
    const state = properties.get('longhaul.state') as GuardState | undefined;
    if (state === undefined) throw this.#strange();
    const base = properties.get('longhaul.base');
    return base === undefined || base === null ? { state } : { state, base: Number(base) };
  }

  #strange(): LonghaulError {
    const { schema, table } = this.name;
    const message = `Connection "${this.client.config.name}" has a table ${schema}.${table} that Longhaul did not make.`;
    return new LonghaulError('TargetChanged', message, { next: 'Remove that table.' });
  }
}
