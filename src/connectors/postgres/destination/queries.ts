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
