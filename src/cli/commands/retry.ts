import { retry, type RetryRequest } from '../../../workflows/messages.js';
import type { Context } from '../context.js';
import { EXIT } from '../exit-codes.js';
import { plural } from '../format.js';
import type { Registry } from '../registry.js';
import { findRunningJob, updateJob, withClient } from '../temporal.js';

export function addRetry({ command, action }: Registry): void {
  command(
    'retry <name> [table/partition...]',
    'try parked partitions again: all, or some',
    'longhaul retry nightly\nlonghaul retry nightly public.orders/17 public.items\n\n' +
      'Partitions are named as `status` shows them: 17/100 or just 17, or the id of a query.\n' +
      'A table without a partition: all that are parked in it.',
  ).action(action(retryParked));
}

async function retryParked(context: Context, name: string, words: readonly string[]): Promise<number> {
  return withClient(context, async (client) => {
    const job = await findRunningJob(client, context, name);
    const request: RetryRequest = words.length === 0 ? {} : { partitions: words };
    const { retried } = await updateJob(job, context, () => job.handle.executeUpdate(retry, { args: [request] }));
    context.screen.out.line(`${plural(retried, 'partition')} of ${name} will be tried again.`);
    context.screen.err.line(`Follow it:  ${context.hint('watch', name)}`);
    return EXIT.ok;
  });
}
