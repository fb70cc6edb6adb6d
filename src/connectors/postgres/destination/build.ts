import type { BuildStep } from '../../../core/activities.js';
import type { TableRecord } from '../../../core/model.js';
import { LonghaulError } from '../../../core/errors.js';
import { reach } from '../../../core/fail-points.js';
import { lockKey } from '../../hash.js';
import type { Meter } from '../../types.js';
import { runClosed } from '../../run-closed.js';
import type { PgSession } from '../session.js';
import { quoteRelation, requireRelation, type Relation } from '../sql.js';
import { culpritsOf, culpritsText, isDuplicate, mendText, notUnique, targetIndex } from './duplicates.js';
import { indexPlans, type IndexPlan } from './indexes.js';
import type { LedgerNames } from './ledger-schema.js';
import { takeLock } from './locks.js';
import { transaction } from './queries.js';
import { readOwnState } from './records.js';
import { findRelation, findTarget, type Target } from './target.js';
import { targetChanged } from './target-changed.js';

const ANALYZE = 'statistics';

/**
 * See `DestinationSession.buildSteps`: every index, then the statistics that the first query after the swap needs. Rows that are
 * appended to a table meet its own indexes then.
 */
export async function buildSteps(session: PgSession, record: TableRecord): Promise<BuildStep[]> {
  if (record.state === 'published') return [];
  const { target, plans } = await transaction(session, () => plansOf(session, record));
  if (target && record.spec.mode === 'append') return [];
  return [...plans.map(({ label }) => label), ANALYZE].map((label, step) => ({ step, label }));
}

/**
 * See `DestinationSession.build`. A step is found by its label and not its number, which shifts when the target gets another
 * index. It is one transaction, so that a half-built index can't be left.
 */
export async function build(
  session: PgSession,
  names: LedgerNames,
  record: TableRecord,
  step: BuildStep,
  meter: Meter,
): Promise<void> {
  const key = { run: record.run, table: record.spec.table };
  const staging = requireRelation(record.staging);
  meter.phase = `building ${step.label}`;
  const work = async () => {
    await takeLock(session, lockKey('longhaul.build', key.run, key.table), `the building of ${key.table}`);
    const state = await readOwnState(session, names, record);
    if (state === 'published') return;
    if (state !== 'open' && state !== 'publishing') throw runClosed(key, state);
    await reach('build: before step');
    if (step.label === ANALYZE) await session.query(`ANALYZE ${quoteRelation(staging)}`);
    else await buildNamed(session, record, staging, step.label);
    await reach('build: before COMMIT');
  };
  try {
    await transaction(session, work);
  } catch (cause) {
    const refused = step.label !== ANALYZE && cause instanceof LonghaulError && cause.code === 'DataRejected';
    throw refused ? await violated(session, names, record, step.label, cause) : cause;
  }
  await reach('build: after COMMIT');
}

async function buildNamed(session: PgSession, record: TableRecord, staging: Relation, wanted: string): Promise<void> {
  const plan = await planOf(session, record, wanted);
  if (!plan) throw targetChanged(session, record, [`its ${wanted} is gone`]);
  await buildIndex(session, staging, plan);
}

async function planOf(session: PgSession, record: TableRecord, wanted: string): Promise<IndexPlan | undefined> {
  return (await plansOf(session, record)).plans.find(({ label }) => label === wanted);
}

async function plansOf(
  session: PgSession,
  record: TableRecord,
): Promise<{ target: Target | undefined; plans: IndexPlan[] }> {
  const target = await findTarget(session, record.spec.to);
  return { target, plans: await indexPlans(session, record, requireRelation(record.staging), target) };
}

async function buildIndex(session: PgSession, staging: Relation, plan: IndexPlan): Promise<void> {
  if ((await findRelation(session, { schema: staging.schema, name: plan.temporary })) !== undefined) return;
  for (const statement of plan.statements) await session.query(statement);
}

/** The server's message would name the values. Says whose rows they are, if that can be told. */
async function violated(
  session: PgSession,
  names: LedgerNames,
  record: TableRecord,
  label: string,
  cause: LonghaulError,
): Promise<LonghaulError> {
  const left = 'Nothing was published, and the target was left as it was.';
  const next = `${mendText(record)} Until then the rows are in ${record.staging}.`;
  const plan = isDuplicate(cause) ? await transaction(session, () => planOf(session, record, label)) : undefined;
  const index = plan?.name === undefined ? undefined : targetIndex(record, plan.name);
  const rows = requireRelation(record.staging);
  const culprits = plan && (await culpritsOf(session, names, record, cause, { index, rows }));
  const what = culprits && culpritsText(record, culprits, false);
  if (culprits && what !== undefined) return notUnique(record, culprits, what, { left, next });
  const unknown = plan ? ` Which ${record.spec.queries ? 'queries' : 'partitions'} gave them can't be told.` : '';
  return new LonghaulError(
    'DataRejected',
    `The rows read for ${record.spec.to} violate its ${label} (duplicates, or a NULL): it can't be published.${unknown} The target was left as it was.`,
    { next },
  );
}
