import type { Client } from '@temporalio/client';
import { formatDuration } from '../format.js';
import { withPatience } from './job-handle.js';

/** A worker polls anew at least this often (the server ends a poll after a minute); in milliseconds. */
const POLL_PERIOD = 75_000;

/**
 * Milliseconds since some worker last polled the task queue; undefined when none did in the last five minutes, which is
 * as far as the server remembers. A worker that has just been killed still counts.
 */
export async function sinceLastPoll(client: Client, taskQueue: string): Promise<number | undefined> {
  const { namespace } = client.options;
  const { pollers } = await withPatience(client, () =>
    client.workflowService.describeTaskQueue({ namespace, taskQueue: { name: taskQueue } }),
  );
  const times = pollers.map(({ lastAccessTime }) => Number(lastAccessTime?.seconds ?? 0) * 1000);
  return times.length === 0 ? undefined : Math.max(0, Date.now() - Math.max(...times));
}

/** Says when there is no worker, and when there is one again; each once. */
export class WorkerWatch {
  #missing = false;

  constructor(
    private readonly client: Client,
    private readonly taskQueue: string,
    private readonly startHint: string,
    private readonly say: (notice: string) => void,
  ) {}

  /** Before the first question: nobody there is known at once. */
  async begin(): Promise<void> {
    if ((await sinceLastPoll(this.client, this.taskQueue)) === undefined) this.#reportMissing(undefined);
  }

  answered(): void {
    if (this.#missing) this.say('A worker answers now.');
    this.#missing = false;
  }

  async unanswered(): Promise<void> {
    if (!this.#missing) this.#reportMissing(await sinceLastPoll(this.client, this.taskQueue));
  }

  #reportMissing(since: number | undefined): void {
    this.#missing = true;
    const gone = since === undefined || since > POLL_PERIOD;
    const what = gone
      ? `No worker polls task queue "${this.taskQueue}", so the job waits.`
      : `No worker answers on task queue "${this.taskQueue}" (one polled ${formatDuration(since)} ago).`;
    this.say(`${what}\n  Start one where longhaul.yaml is:  ${this.startHint}`);
  }
}
