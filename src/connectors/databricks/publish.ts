import { LonghaulError } from '../../core/errors.js';
import type { Mode } from '../../core/model.js';
import { oneList, recordedList, removeAppend, type Append } from './append-list.js';
import { checkTarget, describeTarget, type Target } from './check.js';
import type { Answer } from './client.js';
import { Guard, type GuardFacts } from './guard.js';
import { commitsOf, fence, sawCommit, versionOf } from './history.js';
import { cast, quoted, tableSql, type WarehouseTable } from './names.js';
import {
  copyInto,
  countRows,
  dropStaging,
  guardTable,
  listsOf,
  stage,
  stagingTable,
  type FileList,
  type StagedFile,
  type StagingKey,
} from './staging.js';

/** All that is made visible in one step, and where. The same for every attempt at an epoch. */
export interface Publication extends StagingKey, Omit<Append, 'staging'> {
  readonly target: WarehouseTable;
  readonly mode: Mode;
  /** Grows with each transition of the table to `publishing`; lower ones are settled. */
  readonly epoch: number;
  /** All that receipts name, in the same order each time. May be asked for more than once. */
  files(): Iterable<StagedFile> | AsyncIterable<StagedFile>;
  /** Re-reads the ledger; throws RunClosed when this epoch does not publish any more. */
  stillPublishing(): Promise<void>;
  /** What is done now, in a word. */
  readonly phase?: (phase: string) => void;
}

/** Whether the rows are visible, for good. `closed`: they are not, and no statement of this epoch can change that any more. */
export type Settled = 'published' | 'closed';

/**
 * Makes all rows visible by one statement. Any number of attempts may do it, one after another or at the same time: the rows are
 * there once. The target is free for others when it has resolved, and not before. Throws RunClosed, CountMismatch, TargetChanged.
 * docs/databricks.md has the argument, and what it doesn't cover.
 */
export async function publishToWarehouse(publication: Publication): Promise<void> {
  const publisher = new Publisher(publication);
  await publisher.publish();
}

/**
 * Says what became of an epoch whose publisher may have died at any place, or may still be at it: after it, that does not change.
 * Idempotent. An append whose rows may be visible is carried through rather than taken back.
 */
export async function settle(publication: Publication): Promise<Settled> {
  return new Publisher(publication).settle();
}

/** Removes what publishing has left beside the data files, once the ledger says that the table is published or discarded. Idempotent. */
export async function cleanUp(
  { client, store }: Pick<Publication, 'client' | 'store'>,
  key: StagingKey,
): Promise<void> {
  const staging = stagingTable(client.config.volume!, key);
  await removeAppend({ store, staging });
  await dropStaging(client, staging);
}

class Publisher {
  private readonly staging: WarehouseTable;
  private readonly guard: Guard;

  constructor(private readonly its: Publication) {
    this.staging = stagingTable(its.client.config.volume!, its);
    this.guard = new Guard(its.client, guardTable(this.staging, its.epoch));
  }

  async publish(): Promise<void> {
    const { client, target, phase } = this.its;
    const facts = await this.guard.open(await versionOf(client, target));
    if (facts.state !== 'open') return this.#begun(facts);
    phase?.('staging');
    const lists = await this.#stage();
    const types = await this.#types();
    if (this.its.mode === 'replace') return this.#unlessRefused(facts, () => this.#replace(facts, types));
    const list = await oneList({ ...this.its, staging: this.staging }, lists.first, lists.size);
    await this.#unlessRefused(facts, async () => {
      if (list !== undefined) await this.#append(facts, this.#copy(types, list, true));
      await this.guard.become({ ...facts, state: 'done' });
    });
  }

  /** The warehouse refuses a statement, by the guard, because another attempt went further: what that one came to counts. */
  async #unlessRefused(facts: GuardFacts, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof LonghaulError) || error.code !== 'StatementInvalid') throw error;
      const now = await this.guard.open(facts.base!);
      if (now.state === 'open') throw error;
      await this.#begun(now);
    }
  }

  /** Of an epoch that went further already. */
  async #begun(facts: GuardFacts): Promise<void> {
    if (facts.state === 'finishing') await this.#finish(facts);
    if (facts.state === 'mismatch') throw this.#mismatch();
    if (facts.state !== 'closed') return;
    const message = `Table ${this.its.table}: its publishing was closed; ${this.its.target.table} was left as it is.`;
    throw new LonghaulError('RunClosed', message);
  }

  /** The first two lists tell whether one is enough. */
  async #stage(): Promise<{ first: FileList[]; size: number }> {
    const { its, staging } = this;
    const first: FileList[] = [];
    let size = 0;
    const sized = async function* () {
      for await (const file of its.files()) {
        size += file.size;
        yield file;
      }
    };
    const lists = async function* () {
      for await (const list of listsOf(sized(), its.store.url)) {
        if (first.length < 2) first.push(list);
        yield list;
      }
    };
    await stage({ ...its, staging }, lists());
    return { first, size };
  }

  /** Of the target's columns, by their names in lower case. */
  async #types(): Promise<ReadonlyMap<string, string>> {
    const { client, target, columns, mode } = this.its;
    const { findings, target: found } = await checkTarget(client, target, columns, mode);
    const problem = findings.find(({ severity }) => severity === 'problem');
    if (found !== undefined && problem === undefined) return typesOf(found);
    const what = found === undefined ? 'is gone' : problem!.message;
    const message = `Connection "${client.config.name}": ${target.schema}.${target.table} ${what}; it was left as it is.`;
    throw new LonghaulError('TargetChanged', message, { next: 'Make the table what it was, then retry the table.' });
  }

  /** A repeat writes the same again. That it can't do so after another run's rows came is the end's care. */
  async #replace(facts: GuardFacts, types: ReadonlyMap<string, string>): Promise<void> {
    const { client, target, columns, rows } = this.its;
    const names = columns.map(({ name }) => quoted(name)).join(', ');
    const selected = columns.map(({ name }) => cast(name, types.get(name.toLowerCase())!)).join(', ');
    const from = `${tableSql(this.staging)} WHERE ${this.guard.condition}`;
    await this.#ready();
    const sql = `INSERT OVERWRITE ${tableSql(target)} (${names}) SELECT ${selected} FROM ${from}`;
    const written = await writtenBy(await client.run({ sql, repeatable: false }));
    if (written !== undefined && written !== rows) throw this.#mismatch(written);
    const finishing: GuardFacts = { ...facts, state: 'finishing' };
    await this.guard.become(finishing);
    await this.#finish(finishing);
  }

  /** What begins later than the guard's word is refused; what is under way fails at the fence. */
  async #finish(facts: GuardFacts): Promise<void> {
    const { client, target, rows } = this.its;
    await fence(client, target);
    const repeats = await commitsOf(client, target, { base: facts.base!, rows });
    if (repeats > 1) await this.#count(facts);
    await this.guard.become({ ...facts, state: 'done' });
  }

  /** Two that replaced at the same time conflict; of an empty table nothing is removed that both would remove, so it is looked at. */
  async #count(facts: GuardFacts): Promise<void> {
    const visible = await countRows(this.its.client, tableSql(this.its.target));
    if (visible !== this.its.rows) await this.#stop(facts, visible);
  }

  async #stop(facts: GuardFacts, visible: number): Promise<never> {
    await this.guard.become({ ...facts, state: 'mismatch' });
    throw this.#mismatch(visible);
  }

  async #append(facts: GuardFacts, sql: string): Promise<void> {
    await this.#ready();
    await this.#carryOut(facts, sql);
  }

  /** COPY INTO itself sees a repeat: the files that a table has loaded are on record in the transaction that loaded them. */
  async #carryOut(facts: GuardFacts, sql: string): Promise<void> {
    const written = await writtenBy(await this.its.client.run({ sql, repeatable: true }));
    if (written === undefined || written === 0 || written === this.its.rows) return;
    await this.#stop(facts, written);
  }

  #copy(types: ReadonlyMap<string, string>, list: FileList, guarded: boolean): string {
    const selected = this.its.columns.map(({ name }, at) => {
      const type = types.get(name.toLowerCase())!;
      const value = `CAST(${quoted(name)} AS ${type})`;
      if (at > 0 || !guarded) return `${value} AS ${quoted(name)}`;
      return `CASE WHEN ${this.guard.condition} THEN ${value} END AS ${quoted(name)}`;
    });
    return copyInto(this.its.target, selected, list);
  }

  /** The last look before a statement is sent that changes the target. Its guard was there before this look. */
  async #ready(): Promise<void> {
    await this.its.stillPublishing();
    this.its.phase?.('publishing');
  }

  async settle(): Promise<Settled> {
    const { client, target, mode, rows } = this.its;
    const facts = await this.guard.close();
    if (facts.state === 'mismatch') throw this.#mismatch();
    if (facts.state === 'finishing') await this.#finish(facts);
    if (facts.state === 'finishing' || facts.state === 'done') return 'published';
    if (facts.base === undefined || (await describeTarget(client, target)) === undefined) return 'closed';
    await fence(client, target);
    const seen = await sawCommit(client, target, { base: facts.base, rows });
    if (seen === 'no') return 'closed';
    if (mode === 'append') return this.#carryThrough(facts);
    if (seen === 'unknown') throw this.#untold();
    await this.#finish(facts);
    return 'published';
  }

  /** Of an append that may be there already: one that is not is there then. Neither it nor a late twin of it appends twice. */
  async #carryThrough(facts: GuardFacts): Promise<Settled> {
    const list = await this.#knownList();
    if (list === undefined) return 'closed';
    await this.#carryOut(facts, this.#copy(await this.#types(), list, false));
    await this.guard.become({ ...facts, state: 'done' });
    return 'published';
  }

  /** Undefined: nobody got as far as to send an append. */
  async #knownList(): Promise<FileList | undefined> {
    const lists: FileList[] = [];
    for await (const list of listsOf(this.its.files(), this.its.store.url)) {
      lists.push(list);
      if (lists.length > 1) return recordedList({ ...this.its, staging: this.staging });
    }
    return lists[0];
  }

  #mismatch(written?: number): LonghaulError {
    const { client, target, rows } = this.its;
    const found = written === undefined ? 'another number of rows' : `${written} rows`;
    const message = `Connection "${client.config.name}": ${found} became visible in ${target.schema}.${target.table}, not ${rows}.`;
    const guard = `${this.guard.name.schema}.${this.guard.name.table}`;
    const next = `Look at DESCRIBE HISTORY of that table; RESTORE takes the change back. Then drop table ${guard}, and retry.`;
    return new LonghaulError('CountMismatch', message, { next });
  }

  #untold(): LonghaulError {
    const { client, target } = this.its;
    const where = `${target.schema}.${target.table}`;
    const message = `Connection "${client.config.name}": the history of ${where} does not tell whether it was replaced.`;
    return new LonghaulError('TargetChanged', message, {
      next: `Look at ${where}, then resume the run: it replaces it again.`,
    });
  }
}

function typesOf({ columns }: Target): ReadonlyMap<string, string> {
  return new Map(columns.map(({ name, type }) => [name.toLowerCase(), type]));
}

/** Undefined: it doesn't say. */
async function writtenBy(answer: Answer): Promise<number | undefined> {
  const at = answer.columns.findIndex((name) => name.toLowerCase() === 'num_inserted_rows');
  for await (const [row] of answer.batches()) if (at >= 0 && row?.[at] != null) return Number(row[at]);
  return undefined;
}
