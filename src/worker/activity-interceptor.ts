import type { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type {
  ActivityExecuteInput,
  ActivityInboundCallsInterceptor,
  ActivityInterceptors,
  Next,
} from '@temporalio/worker';
import { toFailure } from '../../activities/index.js';
import { HANDED_BACK } from '../core/activities.js';
import type { Log } from '../connectors/types.js';

/** The one place where what an activity throws becomes what Temporal and the log are told. */
class FailureInterceptor implements ActivityInboundCallsInterceptor {
  constructor(
    private readonly context: Context,
    private readonly log: Log,
  ) {}

  async execute(input: ActivityExecuteInput, next: Next<ActivityInboundCallsInterceptor, 'execute'>): Promise<unknown> {
    try {
      return await next(input);
    } catch (error) {
      const failure = toFailure(error, this.context);
      this.#tell(failure, input.args[0]);
      throw failure;
    }
  }

  #tell(failure: Error, input: unknown): void {
    const { activityType, attempt, workflowExecution } = this.context.info;
    const fields = { activity: activityType, attempt, workflow: workflowExecution?.workflowId, ...subjectOf(input) };
    if (!(failure instanceof ApplicationFailure)) this.log.info(fields, 'Activity cancelled');
    else if (failure.type === HANDED_BACK) this.log.info(fields, 'Activity handed back');
    else this.log.warn({ ...fields, code: failure.type, error: failure.message }, 'Activity failed');
  }
}

/** Table and partition, where an activity has them. */
function subjectOf(input: unknown): { table?: string; partition?: number } {
  const { table, ordinal } = (input ?? {}) as { table?: unknown; ordinal?: unknown };
  return {
    ...(typeof table === 'string' && { table }),
    ...(typeof ordinal === 'number' && { partition: ordinal + 1 }),
  };
}

export function failureInterceptor(log: Log): (context: Context) => ActivityInterceptors {
  return (context) => ({ inbound: new FailureInterceptor(context, log) });
}
