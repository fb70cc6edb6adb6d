import { CancellationScope, condition, isCancellation, log, sleep, workflowInfo } from '@temporalio/workflow';
import type { OpenedRun, SnapshotRef, SnapshotSight } from '../src/core/activities.js';
import { spanText } from '../src/core/text.js';
import { startHolder, untilEnded } from './children.js';
import { childEnding, failure, short, type ChildEnding } from './failures.js';
import { snapshotWorkflowId } from './ids.js';
import type { SnapshotProgress } from './messages.js';
import { awaitingActivity, HOLDER_WAIT, JOB_CONNECTION_WAIT, jobActivity, snapshotActivity } from './proxies.js';
import { steadily } from './steady.js';

/** Times that a job starts over under a new snapshot, so that a source where none can be kept ends it. */
export const MOST_RESTARTS = 5;

/** Failures after which only a new snapshot helps. */
const LOSSES: ReadonlySet<string> = new Set(['SnapshotLost', 'SourceRewritten']);

/** Milliseconds until the source is asked for the first time what the snapshot costs it: both holders are there by then. */
const FIRST_LOOK = 10_000;
const LEAST_LOOK = 60_000;
const MOST_LOOK = 3_600_000;

/** The older it is the less a minute adds to it: so some 800 looks make a month, which the job's history has room for. */
function nextLook(age: number): number {
  return Math.min(MOST_LOOK, Math.max(LEAST_LOOK, age / 10));
}

/** What a job's snapshot asks of the job. */
export interface SnapshotHooks {
  /** Its progress has changed. */
  changed(): void;
  /** Tables have still to be read under it. */
  reading(): boolean;
}

export interface Loss {
  readonly code: string;
  readonly message: string;
}

export function isLoss(code: string | undefined): boolean {
  return code !== undefined && LOSSES.has(code);
}

function cancelledHolder(ending: ChildEnding): ChildEnding {
  const message = `The workflow ${snapshotWorkflowId(workflowInfo().workflowId)}, which held the snapshot, was cancelled.`;
  return { ...ending, code: 'SnapshotLost', message };
}

/** The snapshot of a job: the child that holds it, and how it fares. */
export class JobSnapshot {
  #number: number;
  #state: SnapshotProgress['state'] = 'waiting';
  #takenAt: string | undefined;
  #restarts = 0;
  #note: string | undefined;
  #seen: (Omit<SnapshotSight, 'electing'> & { readonly seenAt: string }) | undefined;
  #expired: Loss | undefined;
  #scope = new CancellationScope();
  /** Holders that have not ended. */
  #alive = 0;
  #ending: ChildEnding | undefined;
  #bug: unknown;

  constructor(
    private readonly opened: OpenedRun,
    private readonly hooks: SnapshotHooks,
  ) {
    this.#number = opened.snapshot!.number;
  }

  get progress(): SnapshotProgress {
    return {
      ...{ number: this.#number, state: this.#state, restarts: this.#restarts },
      ...(this.#takenAt !== undefined && { takenAt: this.#takenAt }),
      ...(this.#note !== undefined && { note: this.#note }),
      ...this.#seen,
    };
  }

  /** Why it is let go although tables need it, once `maxSnapshotAge` is over: the job ends. Throws a plain error where none can be. */
  get expired(): Loss | undefined {
    if (this.#bug !== undefined) throw this.#bug as Error;
    return this.#expired;
  }

  /** Why nobody holds it any more, once that is so. Partitions that are being read under it go on. */
  get loss(): Loss | undefined {
    if (this.#state !== 'lost' || this.#ending === undefined) return undefined;
    const { code = 'SnapshotLost', message } = this.#ending;
    return { code, message };
  }

  get #ref(): SnapshotRef {
    const { run, source, destination, servers } = this.opened;
    return { run, source, destination, ...(servers && { servers }), snapshot: this.#number };
  }

  /** Starts the holder; answers when the snapshot is held, or with why it can't be. Throws what no new snapshot would mend. */
  async hold(): Promise<Loss | undefined> {
    this.#become('waiting');
    this.#keep();
    await this.#held();
    if (this.#bug !== undefined) throw this.#bug as Error;
    const ending = this.#ending;
    if (ending === undefined) return undefined;
    if (!isLoss(ending.code)) throw failure(ending.code ?? 'Unknown', ending.message);
    return this.loss;
  }

  /** The holder lets go, and has ended. */
  async release(): Promise<void> {
    await CancellationScope.nonCancellable(async () => {
      this.#scope.cancel();
      const id = snapshotWorkflowId(workflowInfo().workflowId);
      await untilEnded(() => (this.#alive === 0 ? [] : [id]));
    });
    if (this.#state !== 'lost') this.#become('released');
  }

  /** Tables start over under another snapshot: answers with those that turned out to be published. Throws when it was too often. */
  async startOver({ code, message }: Loss): Promise<readonly string[]> {
    if (this.#restarts === MOST_RESTARTS) {
      const times = `The job has started over ${MOST_RESTARTS} times under new snapshots, and lost this one as well`;
      throw failure(code, `${times}: ${message}`);
    }
    this.#restarts += 1;
    this.#note = short(`snapshot ${this.#number}: ${message}`);
    const request = this.#ref;
    const summary = `start over: snapshot ${this.#number} is lost`;
    const { snapshot, published } = await steadily(
      () => jobActivity('startOver', summary, this.opened.retry)(request),
      JOB_CONNECTION_WAIT,
    );
    this.#number = snapshot;
    return published;
  }

  #become(state: SnapshotProgress['state']): void {
    this.#state = state;
    if (state === 'waiting') this.#takenAt = this.#seen = undefined;
    this.hooks.changed();
  }

  #keep(): void {
    const scope = new CancellationScope();
    this.#scope = scope;
    this.#ending = undefined;
    this.#alive += 1;
    const id = snapshotWorkflowId(workflowInfo().workflowId);
    const input = { snapshot: this.#ref, heartbeatTimeout: this.opened.retry.heartbeatTimeout };
    scope
      .run(async () => (await startHolder(id, input)).result())
      .catch((error: unknown) => this.#lost(error, scope.consideredCancelled))
      .finally(() => (this.#alive -= 1));
  }

  /** `released`: the job has let go of it, since it ends or starts over already. That somebody else has cancelled it is a loss. */
  #lost(error: unknown, released: boolean): void {
    try {
      const ending = childEnding(error);
      if (ending.cancelled && released) return;
      this.#ending = ending.cancelled ? cancelledHolder(ending) : ending;
      this.#become('lost');
    } catch (bug) {
      this.#bug = bug;
    }
  }

  async #held(): Promise<void> {
    const scope = new CancellationScope();
    let over = false;
    const asked = scope.run(() =>
      steadily(() => awaitingActivity(`wait for snapshot ${this.#number}`, this.opened.retry)(this.#ref), HOLDER_WAIT),
    );
    const waiting = asked.then(
      ({ takenAt }) => {
        if (this.#ending === undefined) this.#become('held');
        this.#takenAt = takenAt;
        this.#whileHeld(takenAt);
      },
      (error: unknown) => {
        if (this.#ending === undefined) this.#bug = error;
      },
    );
    void waiting.then(() => (over = true));
    await condition(() => over || this.#ending !== undefined || this.#bug !== undefined);
    scope.cancel();
    await CancellationScope.nonCancellable(() => waiting);
  }

  /** Until it is released: what it costs the source is looked at, and its age is limited. The ledger's clock may be another one. */
  #whileHeld(takenAt: string): void {
    const since = Math.min(Date.parse(takenAt), Date.now());
    const { maxAge } = this.opened.snapshot!;
    const ended = (error: unknown): void => {
      if (isCancellation(error)) return;
      this.#bug = error;
      this.hooks.changed();
    };
    this.#scope.run(() => this.#look(since)).catch(ended);
    if (maxAge !== undefined) this.#scope.run(() => this.#limit(since, maxAge)).catch(ended);
  }

  async #look(since: number): Promise<void> {
    for (let pause = FIRST_LOOK; ; pause = nextLook(Date.now() - since)) {
      await sleep(pause);
      try {
        const look = snapshotActivity('observeSnapshot', `age of snapshot ${this.#number}`);
        const { electing: _electing, ...sight } = await look(this.#ref);
        this.#seen = { ...sight, seenAt: new Date().toISOString() };
        this.hooks.changed();
      } catch (error) {
        if (isCancellation(error)) throw error;
        log.debug('The source did not say what the snapshot costs it.', { reason: short(String(error)) });
      }
    }
  }

  /** Where nothing has to be read any more, the job goes on without it. */
  async #limit(since: number, maxAge: number): Promise<void> {
    await sleep(Math.max(1, since + maxAge - Date.now()));
    const text = `Snapshot ${this.#number} was held for ${spanText(maxAge)}, the maxSnapshotAge of this job, and let go so that the source can vacuum again.`;
    this.#note = short(text);
    if (!this.hooks.reading()) return this.release();
    this.#expired = { code: 'SnapshotTooOld', message: text };
    this.hooks.changed();
  }
}
