import type pg from 'pg';
import type { PgSession } from '../session.js';

/** The first row, if there is one. */
export async function firstRow<R extends pg.QueryResultRow>(
  session: PgSession,
  text: string,
  values?: readonly unknown[],
): Promise<R | undefined> {
  return (await session.query<R>(text, values))[0];
}

/**
 * In the select list of a statement that takes a lock which others wait for, not knowing whom to end: from here on the transaction only has
 * one short statement after the other, so that a client that is silent for so long is frozen. The server then ends its session.
 */
export const BRIEFLY = `pg_catalog.set_config('idle_in_transaction_session_timeout', '10s', true)`;

/** One transaction: committed when `work` resolves, rolled back when it rejects. */
export async function transaction<T>(session: PgSession, work: () => Promise<T>): Promise<T> {
  await session.begin('destination');
  try {
    const result = await work();
    await session.commit();
    return result;
  } catch (cause) {
    await session.rollback();
    throw cause;
  }
}
