import type pg from 'pg';
import { LonghaulError } from '../../core/errors.js';

const ROUNDS = 3;

/**
 * A pooler answers the sign-in itself, so the process id that it gave is not the one of the backend that answers queries. That
 * alone is harmless: in session mode the backend stays the same.
 */
export function isPooled(client: pg.Client, backendPid: number): boolean {
  return (client as unknown as { processID: number | null }).processID !== backendPid;
}

/**
 * Throws ServerUnsuitable when the backend changes between the transactions of one session, or serves another session between
 * them: session-level locks, cancellation and pids then mean nothing. `other` is a second session of the same connection: while
 * it sits in a transaction, this one must still be answered by its own backend and never by the other's.
 */
export async function refuseTransactionPooling(name: string, client: pg.Client, other: pg.Client): Promise<void> {
  const own = await backendPid(client);
  for (let round = 0; round < ROUNDS; round++) {
    await other.query('BEGIN');
    // In this order: a pool of one would let the second question wait for ever.
    const changed = (await backendPid(other)) === own || (await backendPid(client)) !== own;
    await other.query('ROLLBACK');
    if (changed) throw transactionPooling(name);
  }
}

export async function backendPid(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('SELECT pg_catalog.pg_backend_pid() AS pid');
  return rows[0]!.pid;
}

function transactionPooling(name: string): LonghaulError {
  const message = `Connection "${name}" goes through a pooler in transaction mode; session locks and cancellation don't work there`;
  return new LonghaulError('ServerUnsuitable', message, {
    next: `Let "${name}" connect to the server itself, or to a pool in session mode.`,
  });
}
