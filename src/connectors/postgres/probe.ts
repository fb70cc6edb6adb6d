import { LonghaulError, type ErrorCode } from '../../core/errors.js';
import type { PgSession } from './session.js';

/** What a statement of the job may do wrong; anything else is not the statement's fault, and is thrown. */
const MENDABLE: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['StatementInvalid', 'PermissionDenied', 'DataRejected']);

/** Runs something that may fail by the user's mistake, and goes on with the transaction. Answers with the mistake. */
export async function attempt<T>(session: PgSession, work: () => Promise<T>): Promise<T | LonghaulError> {
  await session.query('SAVEPOINT probe');
  try {
    const done = await work();
    await session.query('RELEASE SAVEPOINT probe');
    return done;
  } catch (error) {
    if (!(error instanceof LonghaulError) || !MENDABLE.has(error.code)) throw error;
    await session.query('ROLLBACK TO SAVEPOINT probe; RELEASE SAVEPOINT probe');
    return error;
  }
}

/** The mistake in a statement that returns no rows, if there is one. */
export async function probe(session: PgSession, sql: string): Promise<LonghaulError | undefined> {
  const result = await attempt(session, () => session.query(sql));
  return result instanceof LonghaulError ? result : undefined;
}
