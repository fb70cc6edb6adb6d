import { EXIT } from '../exit-codes.js';
import type { Registry } from '../registry.js';
import { findRunningJob, withClient } from '../temporal.js';

export function addCancel({ command, action }: Registry): void {
  command('cancel <name>', 'end a job; its unpublished tables stay as is', 'longhaul cancel nightly').action(
    action((context, name: string) =>
      withClient(context, async (client) => {
        const { handle } = await findRunningJob(client, context, name);
        await handle.cancel();
        context.screen.out.line(`Asked ${name} to end. Tables that are not published yet stay as they were.`);
        context.screen.err.line(`See it end:  ${context.hint('watch', name)}`);
        return EXIT.ok;
      }),
    ),
  );
}
