import { shortHash } from '../src/connectors/hash.js';
import type { DestinationSession, SourceSession } from '../src/connectors/types.js';
import type { Servers, TableRef } from '../src/core/activities.js';
import { LonghaulError } from '../src/core/errors.js';
import type { TableRecord } from '../src/core/model.js';
import { attempt, type Attempt } from './attempt.js';
import { connectorOf, type Dependencies } from './dependencies.js';

export interface OpenTable {
  readonly session: DestinationSession;
  readonly record: TableRecord;
  readonly running: Attempt;
}

/** An attempt with a session at the destination of a table and the ledger's record of it; the session ends with the body. */
export function atDestination<T>(
  deps: Dependencies,
  ref: Pick<TableRef, 'run' | 'table' | 'destination' | 'servers'>,
  body: (open: OpenTable) => Promise<T>,
): Promise<T> {
  return attempt(deps, { table: ref.table }, async (running) => {
    await using session = await openDestination(deps, ref, running);
    const record = await session.ledger.table(ref.run, ref.table);
    return await body({ session, record, running });
  });
}

/** A session at the source that the run was opened with. Throws ConnectionMismatch where this worker's connection leads elsewhere. */
export async function openSource(
  deps: Dependencies,
  { source, servers }: Pick<TableRef, 'source' | 'servers'>,
  running: Attempt,
): Promise<SourceSession> {
  const session = await connectorOf(deps, source).openSource(running.session());
  return ofServer(session, { connection: source, expected: servers?.source, worker: deps.worker });
}

/** As `openSource`, at the destination: asked before the ledger is, which elsewhere knows nothing of the run. */
export async function openDestination(
  deps: Dependencies,
  { destination, servers }: Pick<TableRef, 'destination' | 'servers'>,
  running: Attempt,
): Promise<DestinationSession> {
  const session = await connectorOf(deps, destination).openDestination(running.session());
  return ofServer(session, { connection: destination, expected: servers?.destination, worker: deps.worker });
}

/** What later attempts compare their own sessions with. */
export async function serversOf(source: SourceSession, destination: DestinationSession): Promise<Servers> {
  return { source: await digestOf(source), destination: await digestOf(destination) };
}

interface Wanted {
  readonly connection: string;
  readonly expected: string | undefined;
  readonly worker: string | undefined;
}

type Identified = AsyncDisposable & { identity(): Promise<string> };

/** The session itself; one of another server is ended. */
export async function ofServer<S extends Identified>(session: S, { connection, expected, worker }: Wanted): Promise<S> {
  try {
    if (expected === undefined || (await digestOf(session)) === expected) return session;
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw error;
  }
  await session[Symbol.asyncDispose]();
  throw mismatch(connection, worker);
}

/** A database's name may be a customer's secret: history holds a digest. */
export async function digestOf(session: Identified): Promise<string> {
  return shortHash(await session.identity());
}

function mismatch(connection: string, worker: string | undefined): LonghaulError {
  const where = worker === undefined ? 'this worker' : `worker "${worker}"`;
  return new LonghaulError(
    'ConnectionMismatch',
    `Connection "${connection}" of ${where} leads to another database than the one this run was opened with; nothing was read or written there.`,
    {
      next: 'Give all workers of a task queue the same longhaul.yaml, or end that worker; the copy goes on at the next one.',
    },
  );
}
