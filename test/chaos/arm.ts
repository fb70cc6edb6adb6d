import { armFailPoints } from '../../src/core/fail-points.js';
import { failWhere, readFailurePlan } from './failure-plan.js';

/** What a test arms in a worker process, told by the environment of that process alone. */
export function armFromEnvironment(env: NodeJS.ProcessEnv): void {
  const file = env.LONGHAUL_TEST_FAILURES;
  if (file !== undefined) armFailPoints(failWhere(readFailurePlan(file)));
}
