import type { Client } from '@temporalio/client';
import type { CleanedRuns } from '../../../workflows/clean-runs.js';
import type { LedgerView, RunView, Vacuumed, VacuumedView, VacuumTables } from '../../core/activities.js';
import { didYouMean } from '../../core/suggest.js';
import { parseDuration } from '../../config/quantities.js';
import type { Context } from '../context.js';
import { CliError } from '../errors.js';
import { EXIT } from '../exit-codes.js';
import { formatBytes, plural } from '../format.js';
import { taskQueueOf } from '../job-input.js';
import { askLedgers, askWorker, isOpen, livenessOf, reportProblems } from '../ledgers.js';
import type { Registry } from '../registry.js';
import { withClient } from '../temporal.js';

interface CleanOptions {
  readonly run?: string;
  readonly older?: string;
  readonly vacuum?: boolean;
  readonly dryRun?: boolean;
  readonly destination?: string;
  readonly taskQueue?: string;
  readonly json?: boolean;
}

const DEFAULT_AGE = '7d';
const NOTHING_OLD =
  "Nothing to vacuum: no table of a lake has a version that was replaced so long ago and is older than the table's own retention (delta.deletedFileRetentionDuration, a week by default).";
/** Runs that are looked at in one go; what is left is found by the next `clean`. */
const MOST = 500;

export function addClean({ command, action }: Registry): void {
  command(
    'clean',
    'remove what ended runs left behind',
    'longhaul clean --dry-run\nlonghaul clean --older 30d\nlonghaul clean --run 01a2…\nlonghaul clean --vacuum\n\n' +
      'Removes staging that nobody resumes, and with --older also plans and receipts of\n' +
      'old runs. Published tables and visible partitions stay; of a running job nothing\n' +
      'is touched. With --vacuum, tables of a lake also lose what only old versions need:\n' +
      "time travel ends with --older, or with the table's\n" +
      'delta.deletedFileRetentionDuration (a week by default) where that is longer.',
  )
    .option('--run <run>', 'give up this run: remove its staging, free its targets')
    .option('--older <duration>', `runs that ended so long ago (default: ${DEFAULT_AGE}, without --run)`)
    .option(
      '--vacuum',
      'also end versions of tables of a lake that were replaced so long ago: files, and entries of their logs',
    )
    .option('--dry-run', 'remove nothing; show what would be')
    .option('--destination <connection>', 'only at this one (default: wherever the worker finds a ledger)')
    .option('--task-queue <name>', 'the task queue of the workers (default: as longhaul.yaml says, or longhaul)')
    .option('--json', 'as one JSON object')
    .action(
      action((context, options: CleanOptions) => withClient(context, (client) => clean(client, context, options))),
    );
}

/** A run with the destination in whose ledger it stands. */
interface Found extends RunView {
  readonly destination: string;
}

interface Plan {
  readonly removed: readonly Found[];
  /** Not touched, and why. */
  readonly kept: readonly (Found & { readonly because: string })[];
  readonly orphans: readonly { readonly destination: string; readonly name: string; readonly bytes?: number }[];
}

/** Meant to be removed, and not removed, or not wholly. */
type Left = CleanedRuns['left'][number] & { readonly destination: string };

async function clean(client: Client, context: Context, options: CleanOptions): Promise<number> {
  if (options.run !== undefined && options.older !== undefined)
    throw new CliError('--run and --older say two different things; nothing was removed.', EXIT.wrong);
  if (options.run !== undefined && options.vacuum)
    throw new CliError('--vacuum is about tables, and --run about one run; nothing was removed.', EXIT.wrong);
  const age = ageOf(options);
  const taskQueue = taskQueueOf(options.taskQueue, context);
  const ledgers = await askLedgers(client, context, taskQueue, {
    ...(options.destination !== undefined && { destination: options.destination }),
    ...(options.run === undefined ? { unchangedFor: age, orphans: true } : { run: options.run }),
    limit: MOST,
  });
  reportProblems(ledgers, context);
  const plan = await (options.run === undefined
    ? planOfOld(client, ledgers)
    : planOfOne(client, context, ledgers, { ...options, run: options.run, taskQueue }));
  const asking = { client, context, taskQueue };
  // First, as with --dry-run: what runs that are forgotten leave in a table is then counted as its.
  const vacuumed = options.vacuum ? await vacuum(asking, ledgers, { older: age, dryRun: options.dryRun === true }) : [];
  const left = options.dryRun ? [] : await remove(client, context, taskQueue, plan, options.run === undefined);
  const removed = plan.removed.filter((run) => !left.some((each) => isSame(each, run)));
  report({ ...plan, removed, left, vacuumed }, context, options);
  return left.length > 0 || vacuumed.some(({ problem }) => problem !== undefined) ? EXIT.failed : EXIT.ok;
}

function ageOf({ older = DEFAULT_AGE }: CleanOptions): number {
  const age = parseDuration(older);
  if (age !== undefined) return age;
  throw new CliError(
    `--older: "${older}" is not a duration; nothing was removed.`,
    EXIT.wrong,
    'Write e.g. 7d or 12h.',
  );
}

function runsIn(ledgers: readonly LedgerView[]): Found[] {
  return ledgers.flatMap(({ destination, runs }) => runs.map((run) => ({ ...run, destination })));
}

async function planOfOld(client: Client, ledgers: readonly LedgerView[]): Promise<Plan> {
  const [removed, kept]: [Found[], (Found & { because: string })[]] = [[], []];
  for (const run of runsIn(ledgers)) {
    const liveness = isOpen(run) ? await livenessOf(client, run) : 'ended';
    if (liveness === 'ended') removed.push(run);
    else if (liveness === 'running') kept.push({ ...run, because: `job ${run.job} is running` });
    else kept.push({ ...run, because: `the ledger calls it open, and this Temporal knows no job ${run.job}` });
  }
  const orphans = ledgers.flatMap((ledger) =>
    ledger.orphans.map((orphan) => ({ ...orphan, destination: ledger.destination })),
  );
  return { removed, kept, orphans };
}

async function planOfOne(
  client: Client,
  context: Context,
  ledgers: readonly LedgerView[],
  options: { readonly run: string; readonly destination?: string; readonly taskQueue: string },
): Promise<Plan> {
  const removed = runsIn(ledgers);
  if (removed.length === 0) throw await unknownRun(client, context, options);
  for (const run of removed.filter(isOpen)) {
    if ((await livenessOf(client, run)) !== 'running') continue;
    const next = `End it first:  ${context.hint('cancel', run.job)}`;
    throw new CliError(`Run ${run.run} is under way as job "${run.job}"; nothing was removed.`, EXIT.failed, next);
  }
  return { removed, kept: [], orphans: [] };
}

async function unknownRun(
  client: Client,
  context: Context,
  { run, destination, taskQueue }: { readonly run: string; readonly destination?: string; readonly taskQueue: string },
): Promise<CliError> {
  const query = { limit: MOST, ...(destination !== undefined && { destination }) };
  const ledgers = await askLedgers(client, context, taskQueue, query);
  const near = didYouMean(
    run,
    runsIn(ledgers).map((each) => each.run),
  );
  const where = ledgers.map((each) => each.destination).join(', ') || 'any connection';
  const hint = near === undefined ? '' : ` Did you mean ${near}?`;
  const next = `The runs there are:  ${context.hint('ls')}`;
  return new CliError(`No ledger of ${where} knows run "${run}"; nothing was removed.${hint}`, EXIT.wrong, next);
}

function isSame(one: Pick<Found, 'run' | 'destination'>, other: Pick<Found, 'run' | 'destination'>): boolean {
  return one.run === other.run && one.destination === other.destination;
}

/** Destination by destination: a workflow each, which goes on when this program is ended. Answers with what could not be removed. */
async function remove(
  client: Client,
  context: Context,
  taskQueue: string,
  { removed }: Plan,
  forget: boolean,
): Promise<Left[]> {
  const left: Left[] = [];
  for (const destination of new Set(removed.map((run) => run.destination))) {
    const here = removed.filter((run) => run.destination === destination);
    const unchangedSince = Object.fromEntries(here.map(({ run, changedAt }) => [run, changedAt]));
    const input = { destination, runs: here.map(({ run }) => run), unchangedSince, forget };
    const answer = (await askWorker(client, context, taskQueue, { type: 'cleanRuns', input })) as CleanedRuns;
    left.push(...answer.left.map((each) => ({ ...each, destination })));
  }
  return left;
}

type VacuumedAt = VacuumedView & { readonly destination: string };

async function vacuum(
  { client, context, taskQueue }: { readonly client: Client; readonly context: Context; readonly taskQueue: string },
  ledgers: readonly LedgerView[],
  how: Omit<VacuumTables, 'destination'>,
): Promise<VacuumedAt[]> {
  const found: VacuumedAt[] = [];
  for (const { destination, problem } of ledgers) {
    if (problem !== undefined) continue;
    const input = { destination, ...how };
    const { tables, more } = (await askWorker(client, context, taskQueue, { type: 'vacuumTables', input })) as Vacuumed;
    found.push(...tables.map((each) => ({ ...each, destination })));
    if (more > 0) context.screen.err.prose(`${plural(more, 'more table')} at ${destination} are not listed here`);
  }
  return found;
}

function report(
  {
    removed,
    kept,
    orphans,
    left,
    vacuumed,
  }: Plan & { readonly left: readonly Left[]; readonly vacuumed: readonly VacuumedAt[] },
  context: Context,
  { dryRun, json, run, vacuum: asked }: CleanOptions,
): void {
  const { out, err } = context.screen;
  if (json) {
    out.line(JSON.stringify({ dryRun: dryRun === true, removed, kept, orphans, left, vacuumed }, undefined, 2));
    return;
  }
  for (const each of removed) out.prose(linesOf(each, run === undefined).join('\n'));
  for (const each of kept)
    out.prose(`run ${each.run} of job ${each.job} at ${each.destination} is kept: ${each.because}`);
  const bytes = removed.reduce((sum, { stagingBytes }) => sum + stagingBytes, 0);
  const what = `${plural(removed.length, 'run')}, ${formatBytes(bytes)} of staging`;
  if (dryRun) out.line(`${what} would be removed. Nothing was touched.`);
  else if (removed.length > 0 || (left.length === 0 && vacuumed.length === 0))
    out.line(removed.length === 0 ? 'Nothing to clean.' : `${out.colors.green('✔ cleaned')}  ${what}`);
  for (const each of vacuumed) reportVacuumed(each, context, dryRun === true);
  if (asked && vacuumed.length === 0) out.prose(NOTHING_OLD);
  for (const { run, destination, because } of left)
    err.prose(`${err.colors.red('✘ not cleaned')}  run ${run} at ${destination}: ${because}`);
  for (const { destination, name, bytes: size } of orphans) {
    err.prose(`${err.colors.yellow('! orphan')}   ${name} at ${destination}, ${sizeText(size)}`);
  }
  if (orphans.length > 0)
    err.prose(
      'No run of the ledger there has loaded these. If no other ledger in that database has either, drop them by hand.',
    );
}

function reportVacuumed(
  { table, destination, files, bytes, entries, problem }: VacuumedAt,
  context: Context,
  dryRun: boolean,
): void {
  const { out, err } = context.screen;
  const log = entries > 0 ? `, ${plural(entries, 'entry', 'entries')} of its log` : '';
  const what = `${table} at ${destination}: ${plural(files, 'file')} of old versions, ${formatBytes(bytes)}${log}`;
  if (problem !== undefined) err.prose(`${err.colors.red('✘ not vacuumed')}  ${table} at ${destination}: ${problem}`);
  else if (dryRun) out.prose(`${what} would be removed.`);
  else out.prose(`${out.colors.green('✔ vacuumed')}  ${what}`);
}

/** One line for the run, one for each table that something is removed of, or that stays visible. */
function linesOf(run: Found, forget: boolean): string[] {
  const tables = run.tables.flatMap(({ table, state, staging, visible }) => [
    ...(staging === undefined || state === 'published'
      ? []
      : [`  ${table}: ${staging.name}, ${sizeText(staging.bytes)}`]),
    ...(visible === undefined ? [] : [`  ${table}: ${visible}, and stay so`]),
  ]);
  const all = Object.values(run.states).reduce((sum, count) => sum + count, 0);
  const more = all - run.tables.length;
  return [
    `run ${run.run} of job ${run.job} at ${run.destination}: ${statesText(run)}${forget ? '; its plan and receipts' : ''}`,
    ...tables,
    ...(more > 0 ? [`  and ${plural(more, 'more table')}`] : []),
  ];
}

/** Of staging. */
export function sizeText(bytes: number | undefined): string {
  return bytes === undefined ? 'in use' : formatBytes(bytes);
}

export function statesText({ states }: RunView): string {
  return Object.entries(states)
    .map(([state, count]) => `${count} ${state}`)
    .join(', ');
}
