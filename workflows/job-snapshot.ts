import { CancellationScope, condition, workflowInfo } from '@temporalio/workflow';
import type { OpenedRun, SnapshotRef } from '../src/core/activities.js';
import { startHolder } from './children.js';
import { childEnding, failure, short, type ChildEnding } from './failures.js';
import { snapshotWorkflowId } from './ids.js';
import type { SnapshotProgress } from './messages.js';
import { awaitingActivity, HOLDER_WAIT, JOB_CONNECTION_WAIT, jobActivity } from './proxies.js';
import { steadily } from './steady.js';

/** Times that a job starts over under a new snapshot, so that a source where none can be kept ends it. */
export const MOST_RESTARTS = 5;

/** Failures after which only a new snapshot helps. */
const LOSSES: ReadonlySet<string> = new Set(['SnapshotLost', 'SourceRewritten']);

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
  #scope = new CancellationScope();
  /** Holders that have not ended. */
  #alive = 0;
  #ending: ChildEnding | undefined;
  #bug: unknown;

  constructor(
    private readonly opened: OpenedRun,
    private readonly changed: () => void,
  ) {
    this.#number = opened.snapshot!.number;
  }

  get progress(): SnapshotProgress {
    return {
      ...{ number: this.#number, state: this.#state, restarts: this.#restarts },
      ...(this.#takenAt !== undefined && { takenAt: this.#takenAt }),
      ...(this.#note !== undefined && { note: this.#note }),
    };
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
      await condition(() => this.#alive === 0);
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
      () => jobActivity('startOver', summary)(request),
      JOB_CONNECTION_WAIT,
    );
    this.#number = snapshot;
    return published;
  }

  #become(state: SnapshotProgress['state']): void {
    this.#state = state;
    if (state === 'waiting') this.#takenAt = undefined;
    this.changed();
  }

  #keep(): void {
    const scope = new CancellationScope();
    this.#scope = scope;
    this.#ending = undefined;
    this.#alive += 1;
    const id = snapshotWorkflowId(workflowInfo().workflowId);
    scope
      .run(async () => (await startHolder(id, this.#ref)).result())
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
      steadily(() => awaitingActivity(`wait for snapshot ${this.#number}`)(this.#ref), HOLDER_WAIT),
    );
    const waiting = asked.then(
      ({ takenAt }) => {
        if (this.#ending === undefined) this.#become('held');
        this.#takenAt = takenAt;
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
}
