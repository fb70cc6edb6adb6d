import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { runPrefix } from '../../src/connectors/postgres/snapshot/holders.js';
import type { SnapshotKey } from '../../src/connectors/types.js';
import type { Random } from './random.js';
import type { Scene } from './scene.js';
import { withClient } from './stack.js';
import { row } from './tables.js';

/** Of ten neighbouring ids, the first is deleted at times and the second updated; the others are left alone. New ids come behind all. */
export const UNTOUCHED = 'id % 10 > 1';
/** The ids that are updated, and never deleted. */
export const UPDATED = 'id % 10 = 1';

/** Milliseconds. */
const WRITE_EVERY = 50;

/**
 * Writes to the sources at a steady rate while a job runs, and keeps a copy of them as they were at each of its snapshots: taken
 * under the very snapshot, imported from its holder.
 */
export class SourceWriter {
  #over = false;
  #loops: Promise<void>[] = [];
  #next: number;
  readonly #random: Random;
  /** Names of tables that hold what a snapshot had. */
  readonly #references = new Set<string>();

  constructor(private readonly scene: Scene) {
    this.#next = scene.shape.rows + 1;
    this.#random = scene.random.fork(1);
  }

  start(): Promise<void> {
    this.#loops = [this.#again((client) => this.#write(client))];
    if (this.scene.shape.consistency === 'snapshot') this.#loops.push(this.#again((client) => this.#watch(client)));
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#loops);
  }

  /** The copy of a table as a snapshot had it; undefined when there was no time to make one. */
  reference(table: string, run: string, snapshot: number): string | undefined {
    const name = this.#nameOf(table, { run, snapshot });
    return this.#references.has(name) ? name : undefined;
  }

  /** On a session of its own, and on the next one when the server was crashed. */
  async #again(work: (client: pg.Client) => Promise<void>): Promise<void> {
    while (!this.#over) {
      try {
        await withClient(this.scene.stack.source.url(), work);
      } catch {
        await sleep(100);
      }
    }
  }

  async #write(client: pg.Client): Promise<void> {
    await client.query(`SET application_name = 'writer'; SET lock_timeout = '2s'`);
    while (!this.#over) {
      for (const table of this.scene.tables) {
        const some = Math.floor(this.#random.next() * (this.scene.shape.rows / 10)) * 10;
        await client.query(`INSERT INTO ${table} SELECT ${row(String(this.#next++))}`);
        await client.query(
          `UPDATE ${table} SET touched = touched + 1 WHERE id % 10 = 1 AND id BETWEEN ${some} AND ${some + 200}`,
        );
        if (this.#random.chance(0.3)) await client.query(`DELETE FROM ${table} WHERE id = ${some}`);
      }
      await sleep(WRITE_EVERY);
    }
  }

  async #watch(client: pg.Client): Promise<void> {
    while (!this.#over) {
      if (this.scene.runs.length > 0) await this.#lookForSnapshot(client);
      await sleep(50);
    }
  }

  async #lookForSnapshot(client: pg.Client): Promise<void> {
    for (const run of new Set(this.scene.runs)) {
      const prefix = runPrefix(run);
      const { rows } = await client.query<{ name: string }>(
        `SELECT application_name AS name FROM pg_stat_activity WHERE datname = current_database() AND application_name ^@ $1`,
        [prefix],
      );
      for (const { name } of rows) {
        const [number, id] = name.split(' ').slice(-2) as [string, string];
        const key = { run, snapshot: Number(number) };
        const missing = this.scene.tables.filter((table) => this.reference(table, run, key.snapshot) === undefined);
        if (missing.length > 0) await this.#copy(client, missing, key, id);
      }
    }
  }

  async #copy(client: pg.Client, tables: readonly string[], key: SnapshotKey, id: string): Promise<void> {
    try {
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
      await client.query(`SET TRANSACTION SNAPSHOT '${id}'`);
      for (const table of tables) {
        await client.query(`CREATE TABLE ${this.#nameOf(table, key)} AS SELECT * FROM ${table}`);
      }
      await client.query('COMMIT');
      for (const table of tables) this.#references.add(this.#nameOf(table, key));
    } catch (error) {
      await client.query('ROLLBACK');
      // The holder has just ended, or its name is of the moment between two.
      if (!/snapshot/.test(String(error))) throw error;
    }
  }

  #nameOf(table: string, { run, snapshot }: SnapshotKey): string {
    return `${table}_at_${this.scene.runs.indexOf(run)}_${snapshot}`;
  }
}
