import { setTimeout as wait } from 'node:timers/promises';
import { LonghaulError } from '../../../core/errors.js';
import { reach } from '../../../core/fail-points.js';
import type { PgSession } from '../session.js';
import { cancelOnServer } from '../wire/index.js';

export interface Lease {
  /** Seconds that a holder's backend sleeps. A sleeping backend does not notice that its client is gone: so long it holds on. */
  readonly seconds: number;
  /** Milliseconds after which the sleep is begun anew: never less is left of the lease than the difference. */
  readonly renewEvery: number;
}

/** Milliseconds within which a cancelled sleep ends, if it was reached at all. */
const CANCEL_TAKES = 1_000;

export const LEASE: Lease = { seconds: 120, renewEvery: 30_000 };

/**
 * Keeps the transaction of a session asleep at its server, on a lease that is renewed by cancelling the sleep within a savepoint.
 * The transaction, its locks and its snapshot outlive this process by what is left of the lease. Only between two sleeps, for a round
 * trip or two, would the backend notice at once that its client is gone.
 */
export class Keeper {
  /** `waking`: the sleep is being cancelled, or the next is about to be sent. */
  #state: 'idle' | 'asleep' | 'waking' | 'over' = 'idle';
  #leaving = false;
  /** Sleeps that have ended. */
  #sleeps = 0;

  constructor(
    private readonly session: PgSession,
    private readonly lease: Lease,
  ) {}

  /** Resolves after `leave`; rejects when the session has ended otherwise. `turn`: see `SnapshotSession.keep`. */
  async keep(turn: number): Promise<void> {
    this.#state = 'waking';
    const renewals = new Renewals(() => void this.#wake(), this.lease.renewEvery);
    try {
      renewals.begin(await this.#untilTurn(turn));
      await this.session.query('SAVEPOINT lease');
      while (!this.#isOver()) {
        await this.#sleep();
        if (!this.#isOver()) await this.session.query('ROLLBACK TO SAVEPOINT lease');
      }
    } catch (error) {
      if (!this.#isOver()) throw error;
    } finally {
      renewals.end();
    }
  }

  /** Milliseconds until the turn's next moment, by the server's clock: the one clock that all holders can ask. */
  async #untilTurn(turn: number): Promise<number> {
    const { renewEvery } = this.lease;
    const [row] = await this.session.query<{ now: string }>(
      'SELECT pg_catalog.floor(EXTRACT(epoch FROM pg_catalog.clock_timestamp()) * 1000)::bigint AS now',
    );
    const since = (Number(row!.now) - turn * renewEvery) % renewEvery;
    return renewEvery - since;
  }

  /** What is not asleep by now is abandoned as soon as it is: it would find nobody when it wakes up. */
  async leave(): Promise<void> {
    this.#leaving = true;
    if (this.#state === 'asleep') this.#abandon();
    else if (this.#state === 'idle') await this.session[Symbol.asyncDispose]();
  }

  #isOver(): boolean {
    return this.#state === 'over';
  }

  #isWaking(): boolean {
    return this.#state === 'waking';
  }

  /** Whoever cancels a sleep, the savepoint is there; should it not be, the next statement says so. */
  async #sleep(): Promise<void> {
    await reach('snapshot: before sleep');
    const asleep = this.session.query(`SELECT pg_catalog.pg_sleep(${this.lease.seconds})`);
    this.#asleep();
    try {
      await asleep;
    } catch (error) {
      if (!(error instanceof LonghaulError) || error.code !== 'Unknown') throw error;
    } finally {
      this.#sleeps += 1;
      if (!this.#isOver()) this.#state = 'waking';
    }
  }

  #asleep(): void {
    this.#state = 'asleep';
    if (this.#leaving) this.#abandon();
  }

  /**
   * A cancellation may come to nothing: it does not reach the server, or comes before the backend has read that it is to sleep. The
   * sleep then goes on, and the next renewal tries again.
   */
  async #wake(): Promise<void> {
    if (this.#state !== 'asleep') return;
    this.#state = 'waking';
    const sleeps = this.#sleeps;
    if (await cancelOnServer(this.session.client)) await wait(CANCEL_TAKES, undefined, { ref: false });
    if (this.#sleeps === sleeps && this.#isWaking()) this.#asleep();
  }

  #abandon(): void {
    this.#state = 'over';
    this.session.abandon();
  }
}

/** The first after so long, then one each period. */
class Renewals {
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly renew: () => void,
    private readonly every: number,
  ) {}

  begin(after: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = setInterval(this.renew, this.every);
      this.renew();
    }, after);
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}
