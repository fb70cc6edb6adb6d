import type { BuildStep } from '../../../core/activities.js';
import type { TableRecord } from '../../../core/model.js';
import { LonghaulError } from '../../../core/errors.js';
import { reach } from '../../../core/fail-points.js';
import { lockKey } from '../../hash.js';
import type { Meter } from '../../types.js';
import type { PgSession } from '../session.js';
import { quoteRelation, requireRelation, type Relation } from '../sql.js';
import { indexPlans, type IndexPlan } from './indexes.js';
import type { LedgerNames } from './ledger-schema.js';
import { takeLock } from './locks.js';
import { transaction } from './queries.js';
import { readOwnState, runClosed } from './records.js';
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
  await transaction(session, async () => {
    await takeLock(session, lockKey('longhaul.build', key.run, key.table), `the building of ${key.table}`);
    const state = await readOwnState(session, names, record);
    if (state === 'published') return;
    if (state !== 'open' && state !== 'publishing') throw runClosed(key, state);
    await reach('build: before step');
    if (step.label === ANALYZE) await session.query(`ANALYZE ${quoteRelation(staging)}`);
    else await buildNamed(session, record, staging, step.label);
    await reach('build: before COMMIT');
  });
  await reach('build: after COMMIT');
}

async function buildNamed(session: PgSession, record: TableRecord, staging: Relation, wanted: string): Promise<void> {
  const plan = (await plansOf(session, record)).plans.find(({ label }) => label === wanted);
  if (!plan) throw targetChanged(session, record, [`its ${wanted} is gone`]);
  await buildIndex(session, record, staging, plan);
}

async function plansOf(
  session: PgSession,
  record: TableRecord,
): Promise<{ target: Target | undefined; plans: IndexPlan[] }> {
  const target = await findTarget(session, record.spec.to);
  return { target, plans: await indexPlans(session, record, requireRelation(record.staging), target) };
}

async function buildIndex(session: PgSession, record: TableRecord, staging: Relation, plan: IndexPlan): Promise<void> {
  if ((await findRelation(session, { schema: staging.schema, name: plan.temporary })) !== undefined) return;
  try {
    for (const statement of plan.statements) await session.query(statement);
  } catch (cause) {
    throw cause instanceof LonghaulError && cause.code === 'DataRejected' ? violated(record, plan) : cause;
  }
}

/** The server's message would name the values. */
function violated(record: TableRecord, { label }: IndexPlan): LonghaulError {
  return new LonghaulError(
    'DataRejected',
    `The rows read for ${record.spec.to} violate its ${label} (duplicates, or a NULL): it can't be published. The target was left as it was.`,
    {
      next: `Look for the rows in ${record.staging}. With queries, two of them may overlap; without a snapshot, a row whose key changed while it was copied may be there twice.`,
    },
  );
}
