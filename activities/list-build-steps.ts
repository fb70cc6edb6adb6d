import type { BuildStep, TableRef } from '../src/core/activities.js';
import type { Dependencies } from './dependencies.js';
import { atDestination } from './sessions.js';

/** What is to be built on staging between the load and the swap, in order. */
export function listBuildSteps(deps: Dependencies, ref: TableRef): Promise<{ steps: readonly BuildStep[] }> {
  return atDestination(deps, ref, async ({ session, record }) => ({ steps: await session.buildSteps(record) }));
}
