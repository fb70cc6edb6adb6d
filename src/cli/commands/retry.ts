import { retry, type JobProgress, type RetryRequest } from '../../../workflows/messages.js';
import type { Context } from '../context.js';
import { CliError } from '../errors.js';
import { EXIT } from '../exit-codes.js';
import { queryJob } from '../follow/ask.js';
import type { JobHandle } from '../follow/job-handle.js';
import { plural } from '../format.js';
import type { Registry } from '../registry.js';
import { findRunningJob, updateJob, withClient } from '../temporal.js';

export function addRetry({ command, action }: Registry): void {
  command(
    'retry <name> [table]',
    'try parked partitions again: all, or some',
    'longhaul retry nightly\nlonghaul retry nightly public.orders --partitions 17/100,23/100',
  )
    .option('--partitions <labels>', 'only these, named as `status` shows them, with commas between')
    .action(action(retryParked));
}

async function retryParked(
  context: Context,
  name: string,
  table: string | undefined,
  { partitions }: { partitions?: string },
): Promise<number> {
  return withClient(context, async (client) => {
    const job = await findRunningJob(client, context, name);
    const request = await requestFor(job, table, partitions);
    const { retried } = await updateJob(job, context, () => job.handle.executeUpdate(retry, { args: [request] }));
    context.screen.out.line(`${plural(retried, 'partition')} of ${name} will be tried again.`);
    context.screen.err.line(`Follow it:  ${context.hint('watch', name)}`);
    return EXIT.ok;
  });
}

async function requestFor(
  job: JobHandle,
  table: string | undefined,
  partitions: string | undefined,
): Promise<RetryRequest> {
  if (partitions === undefined) return table === undefined ? {} : { table };
  if (table === undefined) {
    throw new CliError(
      '--partitions needs the table they belong to.',
      EXIT.wrong,
      'longhaul retry NAME TABLE --partitions 17/100',
    );
  }
  return { table, partitions: ordinalsOf(await queryJob(job), table, partitions.split(',')) };
}

/** From labels as people see them (`17/100`, or just `17`; a query's id) to ordinals. */
export function ordinalsOf(progress: JobProgress, table: string, labels: readonly string[]): number[] {
  const parked = progress.tables.find((each) => each.table === table)?.parked ?? [];
  const named = labels.map((label) => label.trim()).filter((label) => label !== '');
  return named.map((label) => {
    const found = parked.find((each) => each.label === label || each.label.split('/')[0] === label);
    if (found !== undefined) return found.ordinal;
    const list = parked.map((each) => each.label).join(', ');
    const next = parked.length === 0 ? `No partition of ${table} is parked.` : `Parked in ${table}: ${list}`;
    throw new CliError(`Partition ${label} of ${table} is not parked; nothing was done.`, EXIT.wrong, next);
  });
}
