import { setTimeout as sleep } from 'node:timers/promises';
import type { JobProgress, JobReport } from '../../../workflows/messages.js';
import { Looker, queryJob } from './ask.js';
import { withPatience, type JobHandle } from './job-handle.js';
import { failureOutcome, type Outcome } from './outcome.js';
import { waitsForPerson, type JobView } from './view.js';
import { WorkerWatch } from './workers.js';

/** Who is told of what is seen. */
export interface Observer {
  look(view: JobView): void;
  notice(text: string): void;
}

/** Milliseconds between two looks. */
const PERIOD = 1_000;

/** Looks in a row at which a job must wait on parked partitions: a retry that was just accepted needs a moment to show. */
const WAITING_LOOKS = 2;

/**
 * Follows a job until it has ended, or until parked partitions are all that is left. Answers with undefined when `signal`
 * ends the following; the job is not touched by that. Losing the worker or Temporal is said, and waited out. `startWorker` is
 * the command to put into such a notice.
 */
export async function followJob(
  job: JobHandle,
  observer: Observer,
  startWorker: string,
  signal: AbortSignal,
): Promise<Outcome | undefined> {
  return new Follower(job, observer, startWorker).follow(signal);
}

class Follower {
  readonly #looker: Looker;
  readonly #workers: WorkerWatch;
  #last: JobProgress | undefined;
  #waitingLooks = 0;
  #temporalAway = false;

  constructor(
    private readonly job: JobHandle,
    private readonly observer: Observer,
    startWorker: string,
  ) {
    this.#looker = new Looker(job);
    this.#workers = new WorkerWatch(job.client, job.taskQueue, startWorker, (notice) => observer.notice(notice));
  }

  async follow(signal: AbortSignal): Promise<Outcome | undefined> {
    if (!(await this.#hasEnded())) await this.#workers.begin();
    while (!signal.aborted) {
      if (await this.#hasEnded()) return this.#ending();
      await this.#look();
      if (this.#waitingLooks >= WAITING_LOOKS) return this.#waiting();
      await sleep(PERIOD, undefined, { signal }).catch(() => undefined);
    }
    return undefined;
  }

  /** false, too, while Temporal doesn't answer. */
  async #hasEnded(): Promise<boolean> {
    const { client, handle } = this.job;
    try {
      const { status } = await withPatience(client, () => handle.describe());
      if (this.#temporalAway) this.observer.notice('Temporal answers again.');
      this.#temporalAway = false;
      return status.name !== 'RUNNING' && status.name !== 'PAUSED';
    } catch {
      if (!this.#temporalAway) this.observer.notice('Temporal does not answer; asking on until it does.');
      this.#temporalAway = true;
      return false;
    }
  }

  async #look(): Promise<void> {
    if (this.#temporalAway) return;
    try {
      const view = await this.#looker.look();
      this.#workers.answered();
      this.#last = view.job;
      this.#waitingLooks = waitsForPerson(view.tables) ? this.#waitingLooks + 1 : 0;
      this.observer.look(view);
    } catch {
      // Whatever kept the answer away: either a worker is missing, or the next look tells.
      await this.#workers.unanswered().catch(() => undefined);
    }
  }

  #waiting(): Outcome {
    return { ...this.#name(), kind: 'waiting on parked', progress: this.#last! };
  }

  async #ending(): Promise<Outcome> {
    const { handle } = this.job;
    try {
      const report = (await handle.result()) as JobReport;
      return { ...this.#name(), kind: howComplete(report), progress: report };
    } catch (thrown) {
      const progress = await queryJob(this.job).catch(() => this.#last);
      return { ...this.#name(), ...failureOutcome(thrown), ...(progress === undefined ? {} : { progress }) };
    }
  }

  #name(): { workflowId: string; runId: string } {
    return { workflowId: this.job.workflowId, runId: this.job.runId };
  }
}

function howComplete({ phase }: JobReport): 'complete' | 'complete with rejects' | 'complete with skips' {
  return phase === 'complete with skips' || phase === 'complete with rejects' ? phase : 'complete';
}
