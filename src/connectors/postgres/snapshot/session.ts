import { setTimeout as sleep } from 'node:timers/promises';
import { LonghaulError } from '../../../core/errors.js';
import type { TableRecord } from '../../../core/model.js';
import { lockKey } from '../../hash.js';
import type { SessionOptions, SnapshotKey, SnapshotSession } from '../../types.js';
import type { PostgresConnectionConfig } from '../config.js';
import { identityOf } from '../identity.js';
import { openSession, type PgSession } from '../session.js';
import { holderIds, holderPrefix, importSnapshot, snapshotLost } from './holders.js';
import { Keeper, LEASE, type Lease } from './keeper.js';
import { lockByReading, lockTables, type Unlocked } from './lock.js';
import { refuseRewritten } from './rewritten.js';

/** Milliseconds that another session may take from its look at the database to the snapshot's name, and between two looks at it. */
const OTHER_TAKES = 30_000;
const LOOK_EVERY = 100;

/** Since these versions the server has these settings; each would end a holder's sleep or its session. */
const HOLDER_SETTINGS: readonly (readonly [since: number, setting: string])[] = [
  [0, 'statement_timeout'],
  [0, 'idle_in_transaction_session_timeout'],
  [140_000, 'client_connection_check_interval'],
  [170_000, 'transaction_timeout'],
];

/** Opens a session that looks for snapshots or holds one. Throws as `openSession`. */
export async function openSnapshotSession(
  config: PostgresConnectionConfig,
  options: SessionOptions,
  lease: Lease = LEASE,
): Promise<SnapshotSession> {
  return new PostgresSnapshotSession(await openSession(config, options, 'snapshot'), lease);
}

class PostgresSnapshotSession implements SnapshotSession {
  readonly #keeper: Keeper;

  constructor(
    private readonly session: PgSession,
    lease: Lease,
  ) {
    this.#keeper = new Keeper(session, lease);
  }

  identity(): Promise<string> {
    return identityOf(this.session);
  }

  async held(key: SnapshotKey): Promise<boolean> {
    return (await holderIds(this.session, key)).length > 0;
  }

  async hold(key: SnapshotKey, tables: readonly TableRecord[], taken: () => Promise<boolean>): Promise<void> {
    try {
      await this.#hold(key, tables, taken);
    } catch (error) {
      await this.session.rollback();
      throw error;
    }
  }

  async #hold(key: SnapshotKey, tables: readonly TableRecord[], taken: () => Promise<boolean>): Promise<void> {
    const gone = new Set<string>();
    const deadline = Date.now() + OTHER_TAKES;
    for (;;) {
      const id = (await holderIds(this.session, key)).find((each) => !gone.has(each));
      const unlocked = await this.#begin(tables);
      const seen = id === undefined ? await this.#take(key, gone, taken) : await importSnapshot(this.session, id);
      if (seen) {
        await this.#publish(key, tables, unlocked);
        return;
      }
      await this.session.rollback();
      if (id !== undefined) gone.add(id);
      else if (Date.now() > deadline) throw takenElsewhere(this.session, key);
      await sleep(LOOK_EVERY, undefined, { signal: this.session.options.signal });
    }
  }

  keep(): Promise<void> {
    return this.#keeper.keep();
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
    return lockTables(session, tables);
  }

  /**
   * The snapshot of the first query is the new one. Its lock lasts as long as the transaction, so that whoever gets it knows that
   * the one before is gone: either it has a name that is seen here, or nobody has read under it, or `taken` knows of it.
   */
  async #take(key: SnapshotKey, gone: ReadonlySet<string>, taken: () => Promise<boolean>): Promise<boolean> {
    const { session } = this;
    const [row] = await session.query<{ locked: boolean }>('SELECT pg_try_advisory_xact_lock($1) AS locked', [
      lockKey('longhaul.snapshot', key.run, key.snapshot),
    ]);
    if (!row!.locked || (await holderIds(session, key)).some((id) => !gone.has(id))) return false;
    if (await taken()) throw snapshotLost(session, key);
    return true;
  }

  /** From here on others import it. The name is taken back by the server when the transaction ends. */
  async #publish(key: SnapshotKey, tables: readonly TableRecord[], unlocked: readonly Unlocked[]): Promise<void> {
    const { session } = this;
    await lockByReading(session, unlocked);
    for (const record of tables) await refuseRewritten(session, record);
    await session.query(`SELECT set_config('application_name', $1 || pg_export_snapshot(), false)`, [
      holderPrefix(key),
    ]);
  }
}

function takenElsewhere(session: PgSession, { run, snapshot }: SnapshotKey): LonghaulError {
  const message = `Connection "${session.name}": another session is about to take snapshot ${snapshot} of run ${run}, and does not get on.`;
  return new LonghaulError('LockTimeout', message, {
    next: 'It is tried again. If it stays so, end the session of a worker that is frozen: see pg_locks, locktype advisory.',
  });
}
