import { setTimeout as sleep } from 'node:timers/promises';
import type { SnapshotSight } from '../../../core/activities.js';
import { LonghaulError } from '../../../core/errors.js';
import { reach } from '../../../core/fail-points.js';
import type { TableRecord } from '../../../core/model.js';
import type { SessionOptions, SnapshotKey, SnapshotSession } from '../../types.js';
import type { PostgresConnectionConfig } from '../config.js';
import { identityOf } from '../identity.js';
import { openSession, type PgSession } from '../session.js';
import { endElection, endIdleElectors, endMembers, join, membersNamed, tryElection } from './advisory.js';
import { holderIds, holderPrefix, importSnapshot, observeHolders, snapshotLost } from './holders.js';
import { Keeper, LEASE, type Lease } from './keeper.js';
import { lockByReading, lockTables, type Unlocked } from './lock.js';
import { refuseAnyRewritten } from './rewritten.js';

/** Milliseconds. */
export interface Patience {
  /** That another session may take from its look at the holders to its own name among them. */
  readonly other: number;
  /** After so long without a statement, a session that has taken longer than that is ended. */
  readonly idle: number;
}

const PATIENCE: Patience = { other: 30_000, idle: 10_000 };
/** Milliseconds between two looks, about. */
const LOOK_EVERY = 100;

/** Since these versions the server has these settings; each would end a holder's sleep, or its session between two. */
const HOLDER_SETTINGS: readonly (readonly [since: number, setting: string])[] = [
  [0, 'statement_timeout'],
  [140_000, 'client_connection_check_interval'],
  [170_000, 'transaction_timeout'],
];

/** Opens a session that looks for snapshots or holds one. Throws as `openSession`. */
export async function openSnapshotSession(
  config: PostgresConnectionConfig,
  options: SessionOptions,
  lease: Lease = LEASE,
  patience: Patience = PATIENCE,
): Promise<SnapshotSession> {
  return new PostgresSnapshotSession(await openSession(config, options, 'snapshot'), lease, patience);
}

/** What `hold` was asked for; `gone`: ids that could not be imported. */
interface Wish {
  readonly key: SnapshotKey;
  readonly tables: readonly TableRecord[];
  readonly taken: () => Promise<boolean>;
  readonly gone: Set<string>;
}

/** `blocked`: by what another session is doing. `gone`: whom it would have been imported from. */
type Came = 'held' | 'blocked' | 'gone';

class PostgresSnapshotSession implements SnapshotSession {
  readonly #keeper: Keeper;

  constructor(
    private readonly session: PgSession,
    private readonly lease: Lease,
    private readonly patience: Patience,
  ) {
    this.#keeper = new Keeper(session, lease);
  }

  identity(): Promise<string> {
    return identityOf(this.session);
  }

  observe(key: SnapshotKey): Promise<SnapshotSight> {
    return observeHolders(this.session, key);
  }

  release(key: SnapshotKey): Promise<number> {
    return endMembers(this.session, key);
  }

  async hold(key: SnapshotKey, tables: readonly TableRecord[], taken: () => Promise<boolean>): Promise<void> {
    try {
      await this.#hold({ key, tables, taken, gone: new Set() });
    } catch (error) {
      // With the session end its part in an election and what it had locked.
      await this.session[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #hold(wish: Wish): Promise<void> {
    await join(this.session, wish.key);
    const { other } = this.patience;
    let deadline = Date.now() + other;
    for (;;) {
      const came = await this.#become(wish);
      if (came === 'held') return;
      if (came === 'blocked' && Date.now() > deadline) await this.#unblock(wish);
      if (came === 'gone' || Date.now() > deadline) deadline = Date.now() + other;
      await sleep(LOOK_EVERY * (0.5 + Math.random()), undefined, { signal: this.session.options.signal });
    }
  }

  /** Throws LockTimeout where nobody is in the way that may be ended. */
  async #unblock({ key, gone }: Wish): Promise<void> {
    const ended = await endIdleElectors(this.session, key, holderPrefix(key), this.patience.idle);
    if (ended === 0) throw takenElsewhere(this.session, key);
    gone.clear();
    const { run, snapshot } = key;
    const fields = { connection: this.session.name, run, snapshot, ended };
    this.session.options.log.warn(fields, 'Sessions that did not get on were ended, so that the snapshot can be held');
  }

  /** One try, in an election: imports from a living holder, else takes the snapshot or finds it lost. */
  async #become(wish: Wish): Promise<Came> {
    const id = (await holderIds(this.session, wish.key)).find((each) => !wish.gone.has(each));
    const how = id === undefined ? 'exclusive' : 'shared';
    await reach('snapshot: before election');
    if (!(await tryElection(this.session, wish.key, how))) return 'blocked';
    await reach('snapshot: in election');
    const came = id === undefined ? await this.#take(wish) : await this.#import(wish, id);
    if (came === 'held') await reach('snapshot: after name');
    await endElection(this.session, wish.key, how);
    return came;
  }

  keep(turn: number): Promise<void> {
    return this.#keeper.keep(turn);
  }

  leave(): Promise<void> {
    return this.#keeper.leave();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.session[Symbol.asyncDispose]();
  }

  /** The tables are locked before the snapshot is there: nothing can be rewritten in between. */
  async #begin(tables: readonly TableRecord[]): Promise<Unlocked[]> {
    const { session } = this;
    await session.begin('source');
    for (const [since, setting] of HOLDER_SETTINGS) {
      if (session.serverVersion >= since) await session.query(`SET LOCAL ${setting} TO 0`);
    }
    // Once its sleep is over, nothing but this ends the session of a process that is frozen.
    await session.query(`SET LOCAL idle_in_transaction_session_timeout TO '${this.lease.seconds}s'`);
    return lockTables(session, tables);
  }

  async #import({ key, tables, gone }: Wish, id: string): Promise<Came> {
    const unlocked = await this.#begin(tables);
    if (await importSnapshot(this.session, id)) {
      await this.#publish(key, unlocked);
      return 'held';
    }
    await this.session.rollback();
    gone.add(id);
    return 'gone';
  }

  /**
   * Nobody else is about to hold it: either a holder has a name that is seen here, or nobody has read under the snapshot, or `taken`
   * knows of it. A holder that could not be imported from, and is still there, is asked again. The snapshot of the
   * first query is the new one.
   */
  async #take({ key, tables, taken, gone }: Wish): Promise<Came> {
    const { session } = this;
    const named = (await holderIds(session, key)).some((id) => !gone.has(id));
    if (named || (await membersNamed(session, key, holderPrefix(key))).length > 0) {
      gone.clear();
      return 'blocked';
    }
    if (await taken()) throw snapshotLost(session, key);
    await this.#publish(key, await this.#begin(tables));
    return 'held';
  }

  /** From here on others import it. The name is taken back by the server when the transaction ends. */
  async #publish(key: SnapshotKey, unlocked: readonly Unlocked[]): Promise<void> {
    const { session } = this;
    await lockByReading(session, unlocked);
    await refuseAnyRewritten(session, key.snapshot);
    await reach('snapshot: before name');
    await session.query(`SELECT set_config('application_name', $1 || pg_export_snapshot(), false)`, [
      holderPrefix(key),
    ]);
  }
}

function takenElsewhere(session: PgSession, { run, snapshot }: SnapshotKey): LonghaulError {
  const message = `Connection "${session.name}": another session is about to take or import snapshot ${snapshot} of run ${run}, and does not get on.`;
  return new LonghaulError('LockTimeout', message, {
    next: 'It is tried again. If it stays so, end the session of a worker that is frozen: see pg_locks, locktype advisory.',
  });
}
