import {
  CancellationScope,
  isCancellation,
  log,
  patched,
  setCurrentDetails,
  setWorkflowOptions,
  sleep,
} from '@temporalio/workflow';
import { SNAPSHOT_HOLDERS, type SnapshotRef } from '../src/core/activities.js';
import { short } from './failures.js';
import { isLoss } from './job-snapshot.js';
import type { KeepSnapshotInput } from './messages.js';
import { HOLDER_WAIT, HOLDS_LONG, holderActivity, RELEASE_WAIT, snapshotActivity, TROUBLE_WAIT } from './proxies.js';
import { backoff, steadily } from './steady.js';

/**
 * Keeps a job's snapshot held until it is cancelled, by two holders: one whose worker dies or shuts down, or whose session is ended, is
 * followed by another, which imports the snapshot from the other one, or from the session that the first left behind. Neither waits
 * for the other. Fails when one that begins finds no living one: then the snapshot is lost. No session is left when it ends.
 */
export async function keepSnapshot(input: KeepSnapshotInput): Promise<void> {
  const scope = new CancellationScope();
  const holders = Array.from({ length: SNAPSHOT_HOLDERS }, (_, holder) => new Holder(input, holder, show));
  function show(): void {
    setCurrentDetails(holders.map(({ line }) => line).join('\n\n'));
  }
  const kept = holders.map((holder) => scope.run(() => holder.keep()));
  try {
    await Promise.race([...kept, CancellationScope.current().cancelRequested]);
  } finally {
    await CancellationScope.nonCancellable(async () => {
      scope.cancel();
      const released = patched('released at once') ? release(input.snapshot) : undefined;
      await Promise.allSettled(kept);
      await (released ?? release(input.snapshot));
    });
  }
}

// A bug that throws a plain error ends the holders with it, instead of blocking their workflow task for ever.
setWorkflowOptions({ failureExceptionTypes: [Error] }, keepSnapshot);

class Holder {
  #state = 'holding';

  constructor(
    private readonly input: KeepSnapshotInput,
    private readonly holder: number,
    private readonly show: () => void,
  ) {}

  get line(): string {
    return `holder ${this.holder + 1}: ${this.#state}`;
  }

  /** Until it is cancelled, or the snapshot is lost. Any other trouble is its own as long as somebody else holds the snapshot. */
  async keep(): Promise<void> {
    for (let [ends, failures] = [0, 0]; ;) {
      const began = Date.now();
      try {
        await this.#hold();
        ends = Date.now() - began < HOLDS_LONG ? ends + 1 : 0;
        failures = 0;
        if (ends > 0) await sleep(backoff(HOLDER_WAIT, ends));
      } catch (error) {
        if (isCancellation(error) || isLoss((error as { type?: string }).type)) throw error;
        if (!(await this.#isHeld())) throw error;
        failures += 1;
        this.#become(`failed, to be tried again · ${short((error as Error).message)}`);
        await sleep(backoff(TROUBLE_WAIT, failures));
      }
      this.#become('holding');
    }
  }

  /** Until its session has ended. */
  async #hold(): Promise<void> {
    const { snapshot, heartbeatTimeout } = this.input;
    const summary = `hold snapshot ${snapshot.snapshot}, holder ${this.holder + 1} of ${SNAPSHOT_HOLDERS}`;
    const hold = holderActivity(summary, heartbeatTimeout);
    await steadily(() => hold({ ...snapshot, holder: this.holder }), HOLDER_WAIT, {
      waiting: (message) => this.#become(`waiting for connection · ${short(message)}`),
    });
  }

  /** Or about to be, by somebody who finds out whether it is lost. */
  async #isHeld(): Promise<boolean> {
    const { snapshot } = this.input;
    const observe = snapshotActivity('observeSnapshot', `who holds snapshot ${snapshot.snapshot}?`);
    const { holders, electing = false } = await steadily(() => observe(snapshot), HOLDER_WAIT);
    return holders > 0 || electing;
  }

  #become(state: string): void {
    this.#state = state;
    this.show();
  }
}

/**
 * A holder whose session is ended at the source ends at once; of its cancellation it may hear seconds later, with a heartbeat's answer. What can't
 * be ended now ends by itself, with its lease.
 */
async function release(snapshot: SnapshotRef): Promise<void> {
  const end = snapshotActivity('releaseSnapshot', `release snapshot ${snapshot.snapshot}`);
  try {
    await steadily(() => end(snapshot), RELEASE_WAIT);
  } catch (error) {
    const reason = short(String(error));
    log.warn('Sessions that held the snapshot may be left at the source until their lease ends.', { reason });
  }
}
