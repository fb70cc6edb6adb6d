import type { LonghaulActivities } from '../src/core/activities.js';
import type { PartitionOutcome, StatementSession } from '../src/connectors/types.js';
import { LonghaulError } from '../src/core/errors.js';
import type { QueriesFrom } from '../src/core/model.js';
import { attempt, type Attempt } from './attempt.js';
import { connectorOf, type Dependencies } from './dependencies.js';
import { openDestination } from './sessions.js';

type Input = Parameters<LonghaulActivities['announceCommitted']>[0];

/** Runs the list's `onCommitted` for committed partitions, and for nothing that the ledger has no committed receipt of. */
export function announceCommitted(deps: Dependencies, input: Input): Promise<{ announced: number }> {
  return attempt(deps, { table: input.table }, async (running) => {
    running.meter.phase = 'telling of committed queries';
    const { connection, onCommitted, outcomes } = await committedOf(deps, input, running);
    const values = outcomes.flatMap((outcome) => valuesOf(input.table, outcome));
    if (values.length === 0 || connection === undefined || onCommitted === undefined) return { announced: 0 };
    await using session = await openStatements(deps, connection, running);
    await session.execute(onCommitted, values);
    return { announced: values.length };
  });
}

/** The session at the destination ends before others are told: no copying shall wait for it as long as that takes. */
async function committedOf(
  deps: Dependencies,
  input: Input,
  running: Attempt,
): Promise<QueriesFrom & { outcomes: readonly PartitionOutcome[] }> {
  await using session = await openDestination(deps, input, running);
  const { spec } = await session.ledger.table(input.run, input.table);
  const outcomes = await session.ledger.outcomes(input.run, input.table, input.ordinals);
  return { ...spec.queriesFrom, outcomes };
}

/** What `TOLD_NAMES` stand for. */
function valuesOf(table: string, { label, receipt }: PartitionOutcome) {
  if (receipt?.state !== 'committed') return [];
  return [{ query_id: label, table_name: table, rows: String(receipt.rows) }];
}

function openStatements(deps: Dependencies, connection: string, running: Attempt): Promise<StatementSession> {
  const connector = connectorOf(deps, connection);
  if (connector.openStatements !== undefined) return connector.openStatements(running.session());
  const message = `Connection "${connection}" of this worker runs no statements: onCommitted was not run.`;
  throw new LonghaulError('StatementInvalid', message, {
    next: 'Give all workers of a task queue the same longhaul.yaml.',
  });
}
