import type { Context } from './context.js';
import { outcomeJson, printOutcome } from './conclude.js';
import { EXIT } from './exit-codes.js';
import { BarObserver } from './follow/bars.js';
import { followJob } from './follow/follow.js';
import type { JobHandle } from './follow/job-handle.js';
import { LineObserver } from './follow/lines.js';
import { exitCodeOf, type Outcome } from './follow/outcome.js';

export interface FollowOptions {
  /** The result as one JSON object on standard output. */
  readonly json?: boolean;
  /** For the hint how to resume. */
  readonly jobFile?: string;
}

/** Follows a job on the screen to its end, and answers with the exit code. Ctrl-C ends the following, never the job. */
export async function followOnScreen(job: JobHandle, context: Context, options: FollowOptions): Promise<number> {
  const { out, err } = context.screen;
  err.line(`${err.colors.bold(job.workflowId)}, run ${job.runId}`);
  if (err.tty) err.line(err.colors.dim('Ctrl-C stops following, not the copy.'));
  const outcome = await followUntilInterrupt(job, context);
  if (outcome === undefined) {
    sayGoodbye(job, context);
    return EXIT.interrupted;
  }
  if (options.json) out.line(JSON.stringify(outcomeJson(outcome), undefined, 2));
  else printOutcome(outcome, context, options.jobFile);
  return exitCodeOf(outcome);
}

async function followUntilInterrupt(job: JobHandle, { screen, hint }: Context): Promise<Outcome | undefined> {
  const interrupt = new AbortController();
  const stop = () => interrupt.abort();
  const bars = screen.err.tty ? new BarObserver(screen.err) : undefined;
  // Once: a second Ctrl-C ends the program as usual.
  process.once('SIGINT', stop);
  try {
    return await followJob(job, bars ?? new LineObserver(screen.err), hint('worker'), interrupt.signal);
  } finally {
    process.off('SIGINT', stop);
    bars?.end();
  }
}

function sayGoodbye({ workflowId }: JobHandle, { screen, hint }: Context): void {
  screen.err.line(`No longer following ${workflowId}; the copy goes on.`);
  screen.err.line(`  follow it again   ${hint('watch', workflowId)}`);
  screen.err.line(`  look once         ${hint('status', workflowId)}`);
  screen.err.line(`  end the copy      ${hint('cancel', workflowId)}`);
}
