import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Random } from './random.js';
import type { Scene } from './scene.js';
import { withClient } from './stack.js';

const ISOLATIONS = ['READ COMMITTED', 'REPEATABLE READ'] as const;

/** What a reader saw of a target. */
export interface Read {
  readonly table: string;
  /** `VERSION`: of a lake's table, which has any number of them. */
  readonly isolation: (typeof ISOLATIONS)[number] | 'VERSION';
  readonly old: number;
  readonly rows: number;
}

/** Milliseconds between two looks of a reader: what they take from the machine is taken from the job. */
const READ_EVERY = 100;

interface Seen {
  old: number;
  rows: number;
}

/** A transaction that goes on seeing the tables of its beginning, until it is disposed of. */
export interface View extends AsyncDisposable {
  look(table: string): Promise<void>;
}

/**
 * Reads the targets all the time, as their users do: with one statement, and in a REPEATABLE READ transaction that has taken its
 * snapshot before it looks. Until a table is published it has to be as it was; after that it has to be whole.
 */
export class Readers {
  #over = false;
  #loops: Promise<void>[] = [];
  readonly #seen = new Map<string, Read>();
  /** Words of a server to which a target was not there, or not what it was. */
  readonly #refused = new Set<string>();
  readonly #random: Random;
  #looks = 0;

  constructor(private readonly scene: Scene) {
    this.#random = scene.random.fork(2);
  }

  start(): Promise<void> {
    const { publish, destination } = this.scene.shape;
    if (publish === 'partition' || destination !== 'postgres') return Promise.resolve();
    for (const isolation of ISOLATIONS) {
      this.#loops.push(this.#loop(isolation));
    }
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#loops);
  }

  /**
   * Reads that showed a part: `expected` is what each target holds of the job at the end. Told only then, since a source that is
   * written to has no size that is known before.
   */
  partial(expected: ReadonlyMap<string, number>): Read[] {
    const { shape, before, target } = this.scene;
    const { copies = 1, foreign = 0 } = this.scene.expected;
    return [...this.#seen.values(), ...target.reads].filter(({ table, old, rows }) => {
      const there = old >= before && old <= before + foreign;
      const all = expected.get(table)!;
      // A person may have skipped all of it.
      const whole = all === 0 ? rows === 0 : rows > 0 && rows % (all / copies) === 0 && rows <= all;
      return !(there && rows === 0) && !(whole && (shape.mode === 'replace' ? old === 0 : there));
    });
  }

  /** Why what they saw says nothing: nobody has looked, or somebody was refused. */
  problems(): string[] {
    const seen = [...this.#seen.values()];
    const idle =
      this.#loops.length === 0 ? [] : ISOLATIONS.filter((each) => !seen.some(({ isolation }) => isolation === each));
    return [
      ...idle.map((isolation) => `no ${isolation} reader has seen a target`),
      ...[...this.#refused].map((said) => `a reader was refused: ${said}`),
    ];
  }

  /** Takes the view of a REPEATABLE READ transaction now. What it sees of a target later counts as what any reader saw. */
  async takeView(): Promise<View> {
    const client = new pg.Client({ connectionString: this.scene.stack.destination.url() });
    client.on('error', () => undefined);
    await client.connect();
    await client.query(`SET application_name = 'reader'; BEGIN ISOLATION LEVEL REPEATABLE READ`);
    await client.query('SELECT FROM pg_class LIMIT 1');
    return {
      look: async (table) => this.#keep({ table, isolation: 'REPEATABLE READ', ...(await count(client, table)) }),
      [Symbol.asyncDispose]: () => client.end(),
    };
  }

  async #loop(isolation: Read['isolation']): Promise<void> {
    while (!this.#over) {
      try {
        await withClient(this.scene.stack.destination.url(), (client) => this.#read(client, isolation));
      } catch (error) {
        if (/^42/.test((error as { code?: string }).code ?? '')) this.#refused.add((error as Error).message);
        // The server is being crashed: a reader comes back when it can.
        await sleep(200);
      }
    }
  }

  async #read(client: pg.Client, isolation: Read['isolation']): Promise<void> {
    await client.query(`SET application_name = 'reader'; SET statement_timeout = '20s'`);
    while (!this.#over) {
      const table = this.scene.tables[this.#looks % this.scene.tables.length]!;
      await client.query(`BEGIN ISOLATION LEVEL ${isolation}`);
      if (isolation === 'REPEATABLE READ') {
        await client.query('SELECT FROM pg_class LIMIT 1');
        await sleep(this.#random.int(0, 800));
      }
      const seen = await count(client, table);
      await client.query('COMMIT');
      this.#keep({ table, isolation, ...seen });
      await sleep(READ_EVERY);
    }
  }

  /** Each result once: most are the same. */
  #keep(read: Read): void {
    this.#looks++;
    this.#seen.set(JSON.stringify(read), read);
  }
}

async function count(client: pg.Client, table: string): Promise<Seen> {
  const { rows } = await client.query<Seen>(
    `SELECT count(*) FILTER (WHERE gen = 0)::int AS old, count(*) FILTER (WHERE gen <> 0)::int AS rows FROM ${table}`,
  );
  return rows[0]!;
}
