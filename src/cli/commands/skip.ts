import { skip } from '../../../workflows/messages.js';
import type { Context } from '../context.js';
import { EXIT } from '../exit-codes.js';
import { plural } from '../format.js';
import type { Registry } from '../registry.js';
import { findRunningJob, updateJob, withClient } from '../temporal.js';

export function addSkip({ command, action }: Registry): void {
  command(
    'skip <name> <table/partition...>',
    'go on without parked partitions',
    'longhaul skip nightly public.orders/17\n\n' +
      'Their rows will NOT be in the target. What else is parked, retry or skip too; then\n' +
      'the table is published without them, and the job ends as "complete with skips".\n' +
      'Partitions are named as `status` shows them, each by itself: 17/100 or just 17, or\n' +
      'the id of a query. A skip stands when the run is resumed; only a table that starts\n' +
      'over under a new snapshot forgets it, and asks again.',
  ).action(action(skipParked));
}

async function skipParked(context: Context, name: string, words: readonly string[]): Promise<number> {
  return withClient(context, async (client) => {
    const job = await findRunningJob(client, context, name);
    const update = () => job.handle.executeUpdate(skip, { args: [{ partitions: words }] });
    const { skipped } = await updateJob(job, context, update);
    const { out, err } = context.screen;
    out.line(`${plural(skipped, 'partition')} of ${name} will be skipped.`);
    const theirs = skipped === 1 ? 'Its' : 'Their';
    err.prose(`! ${theirs} rows will NOT be in the target, and this run can't copy them any more: only a new job can.`);
    err.line(`Follow it:  ${context.hint('watch', name)}`);
    return EXIT.ok;
  });
}
