import { setParallelism } from '../../../workflows/messages.js';
import { EXIT } from '../exit-codes.js';
import { CliError } from '../errors.js';
import type { Registry } from '../registry.js';
import { plural } from '../format.js';
import { findRunningJob, updateJob, withClient } from '../temporal.js';

const MOST = 1_000;

export function addSetParallelism({ command, action }: Registry): void {
  command(
    'set-parallelism <name> <count>',
    'how many partitions to copy at once',
    'longhaul set-parallelism nightly 16',
  ).action(
    action(async (context, name: string, text: string) => {
      const wanted = parseParallelism(text);
      return withClient(context, async (client) => {
        const job = await findRunningJob(client, context, name);
        const update = () => job.handle.executeUpdate(setParallelism, { args: [wanted] });
        const { parallelism } = await updateJob(job, context, update);
        context.screen.out.line(`${name} copies ${plural(parallelism, 'partition')} at the same time from now on.`);
        return EXIT.ok;
      });
    }),
  );
}

function parseParallelism(text: string): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1 && count <= MOST) return count;
  throw new CliError(`"${text}" is not a whole number from 1 to ${MOST}; nothing was changed.`, EXIT.wrong);
}
