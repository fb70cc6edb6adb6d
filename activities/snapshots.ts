import { LonghaulError } from '../src/core/errors.js';
import type { SnapshotRef } from '../src/core/activities.js';
import type { SessionOptions, SnapshotSession } from '../src/connectors/types.js';
import { connectorOf, type Dependencies } from './dependencies.js';
import { ofServer } from './sessions.js';

/** A job was checked on one worker and may run on another, whose connection of that name is of another type. */
export async function openSnapshots(
  deps: Dependencies,
  { source, servers }: Pick<SnapshotRef, 'source' | 'servers'>,
  options: SessionOptions,
): Promise<SnapshotSession> {
  const connector = connectorOf(deps, source);
  if (connector.openSnapshots !== undefined) {
    const session = await connector.openSnapshots(options);
    return ofServer(session, { connection: source, expected: servers?.source, worker: deps.worker });
  }
  throw new LonghaulError('ServerUnsuitable', `Connection "${source}" can't hold a snapshot on this worker.`, {
    next: 'Give all workers of a task queue the same longhaul.yaml.',
  });
}
