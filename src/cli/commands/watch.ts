import { followOnScreen } from '../follow-on-screen.js';
import type { Registry } from '../registry.js';
import { findJob, withClient } from '../temporal.js';

export function addWatch({ command, action }: Registry): void {
  command('watch <name>', 'follow a job until it ends', 'longhaul watch nightly')
    .option('--json', 'the result as one JSON object')
    .action(
      action((context, name: string, options: { json?: boolean }) =>
        withClient(context, async (client) => followOnScreen(await findJob(client, context, name), context, options)),
      ),
    );
}
