import { discard } from '../../../workflows/messages.js';
import type { Context } from '../context.js';
import { EXIT } from '../exit-codes.js';
import type { Registry } from '../registry.js';
import { findRunningJob, withClient } from '../temporal.js';

export function addCancel({ command, action }: Registry): void {
  command(
    'cancel <name>',
    'end a job; its unpublished tables stay as is',
    'longhaul cancel nightly\nlonghaul cancel nightly --discard\n\n' +
      'What it has loaded waits in staging for `run --resume`, for as long as keepStaging says.',
  )
    .option('--discard', 'remove what it has loaded and not published')
    .action(action(cancel));
}

async function cancel(context: Context, name: string, options: { discard?: boolean }): Promise<number> {
  return withClient(context, async (client) => {
    const { handle } = await findRunningJob(client, context, name);
    // The signal ends the job by itself: if this program dies before the next line, the job is given up all the same.
    if (options.discard) await handle.signal(discard);
    await handle.cancel();
    const { out, err } = context.screen;
    const kept = options.discard ? ', and what it has loaded for them is removed' : '';
    out.line(`Asked ${name} to end. Tables that are not published yet stay as they were${kept}.`);
    err.line(`See it end:  ${context.hint('watch', name)}`);
    return EXIT.ok;
  });
}
