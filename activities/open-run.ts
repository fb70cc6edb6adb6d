import type { LonghaulActivities, OpenedRun, OpenedTable } from '../src/core/activities.js';
import { jobInvalid, type Problem } from '../src/core/errors.js';
import { counted } from '../src/core/text.js';
import type { Job, TableRecord } from '../src/core/model.js';
import { attempt, type Attempt } from './attempt.js';
import { checkJob } from './check.js';
import { connectorOf, type Dependencies } from './dependencies.js';
import { boundedProblems } from './findings.js';
import { refuseRunning } from './refuse-running.js';
import { sweep } from './sweep.js';

/** Warnings kept in the workflow: a job of many tables could have as many, and `longhaul check` lists all. */
const MAX_WARNINGS = 50;
const WARNING_BYTES = 50_000;

type Input = Parameters<LonghaulActivities['openRun']>[0];

/** Checks the whole job, then opens its run in the ledger: tables, fingerprints and leases in one step, or nothing. */
export function openRun(deps: Dependencies, input: Input): Promise<OpenedRun> {
  return attempt(deps, {}, async (running) => {
    const checked = await checkJob(deps, input.job, running, { run: input.run, tell: 'for good' });
    const { job, servers, records, problems, warnings } = checked;
    if (job === undefined) throw jobInvalid(problems);
    running.meter.phase = 'opening';
    const { stored, swept } = await open(deps, input, job, records, running);
    return { ...opened(input.run, job, stored, [...swept, ...warnings]), ...(servers && { servers }) };
  });
}

async function open(
  deps: Dependencies,
  { run, workflowId }: Input,
  job: Job,
  records: Awaited<ReturnType<typeof checkJob>>['records'],
  running: Attempt,
): Promise<{ stored: readonly TableRecord[]; swept: Problem[] }> {
  await using session = await connectorOf(deps, job.destination).openDestination(running.session());
  if (job.resume !== undefined) await refuseRunning(deps, session.ledger, { run, workflowId });
  const record = { run, job: workflowId, name: job.name, keepStaging: job.keepStaging };
  const options = { resume: job.resume !== undefined, again: job.again };
  const stored = await session.ledger.openRun(record, records, options);
  return { stored, swept: await sweep(session, run, running) };
}

/** Rows that are visible as soon as they are committed can't be compared before that: `longhaul verify` does it after. */
function isStaged({ verify, publish }: Job['tables'][number]): boolean {
  return verify === 'checksum' && publish !== 'partition';
}

function opened(run: string, job: Job, records: readonly TableRecord[], warnings: readonly Problem[]): OpenedRun {
  const { name, source, destination, parallelism, onFailure, maxParked, retry } = job;
  const states = new Map(records.map(({ spec, state }) => [spec.table, state]));
  const tables = job.tables.map((spec): OpenedTable => {
    const { table, to, mode, publish, queriesFrom } = spec;
    return {
      ...{ table, to, mode, ...(publish !== undefined && { publish }) },
      published: states.get(table) === 'published',
      ...(isStaged(spec) && { checksum: true }),
      ...(queriesFrom?.onCommitted !== undefined && { announced: true }),
    };
  });
  const head = { run, name, source, destination, parallelism, onFailure, maxParked, retry };
  const unfinished = records.filter(({ state, snapshot }) => state !== 'published' && snapshot !== undefined);
  const number = unfinished[0]?.snapshot;
  const all =
    job.resume !== undefined && number !== undefined ? [startsOver(unfinished.length, number), ...warnings] : warnings;
  return {
    ...{ ...head, tables, warnings: boundedProblems(all.slice(0, MAX_WARNINGS), WARNING_BYTES).shown },
    ...(number !== undefined && { snapshot: { number, ...snapshotPolicy(job) } }),
  };
}

function snapshotPolicy({ onSnapshotLost: onLost, maxSnapshotAge: maxAge }: Job) {
  return { onLost, ...(maxAge !== undefined && { maxAge }) };
}

/** All that is unfinished of a run has one number. */
function startsOver(tables: number, snapshot: number): Problem {
  const message = `${counted(tables, 'unfinished table')} of this run start over under snapshot ${snapshot}: the one that they were read under was let go when the run ended`;
  return { path: 'resume', message };
}
