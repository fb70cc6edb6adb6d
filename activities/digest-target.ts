import type { TableRef } from '../src/core/activities.js';
import type { Digested } from '../src/core/digest.js';
import type { Dependencies } from './dependencies.js';
import { openTableDigester } from './digests.js';
import { atDestination } from './sessions.js';

/** The target as it is now, in one statement. */
export function digestTarget(deps: Dependencies, ref: TableRef): Promise<Digested> {
  return atDestination(deps, ref, async ({ session, record, running }) => {
    running.meter.phase = 'digesting the target';
    const { digester } = await openTableDigester(session, record);
    return digester.whole();
  });
}
