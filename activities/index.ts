import type { LonghaulActivities } from '../src/core/activities.js';
import { announceCommitted } from './announce-committed.js';
import { awaitSnapshot } from './await-snapshot.js';
import { checkJob } from './check-job.js';
import { closeRun } from './close-run.js';
import { copyPartition } from './copy-partition.js';
import { comparePartitions } from './compare-partitions.js';
import type { Dependencies } from './dependencies.js';
import { digestTarget } from './digest-target.js';
import { holdSnapshot } from './hold-snapshot.js';
import { listBuildSteps } from './list-build-steps.js';
import { listVerifiable } from './list-verifiable.js';
import { listRuns } from './list-runs.js';
import { vacuumTables } from './vacuum-tables.js';
import { observeSnapshot } from './observe-snapshot.js';
import { openRun } from './open-run.js';
import { pendingPartitions } from './pending-partitions.js';
import { prepareTable } from './prepare-table.js';
import { publishTable } from './publish-table.js';
import { releaseSnapshot } from './release-snapshot.js';
import { runBuildStep } from './run-build-step.js';
import { skipPartition } from './skip-partition.js';
import { unpublishedTables } from './unpublished-tables.js';
import { verifyTable } from './verify-table.js';
import { startOver } from './start-over.js';

export type { Dependencies } from './dependencies.js';
export { toFailure } from './errors.js';

/** The activities of a worker. To be registered with an interceptor that turns what they throw into `toFailure` of it. */
export function createActivities(deps: Dependencies): LonghaulActivities {
  return {
    checkJob: (input) => checkJob(deps, input),
    openRun: (input) => openRun(deps, input),
    prepareTable: (input) => prepareTable(deps, input),
    copyPartition: (input) => copyPartition(deps, input),
    announceCommitted: (input) => announceCommitted(deps, input),
    skipPartition: (input) => skipPartition(deps, input),
    pendingPartitions: (input) => pendingPartitions(deps, input),
    listBuildSteps: (input) => listBuildSteps(deps, input),
    runBuildStep: (input) => runBuildStep(deps, input),
    verifyTable: (input) => verifyTable(deps, input),
    publishTable: (input) => publishTable(deps, input),
    listVerifiable: (input) => listVerifiable(deps, input),
    comparePartitions: (input) => comparePartitions(deps, input),
    digestTarget: (input) => digestTarget(deps, input),
    closeRun: (input) => closeRun(deps, input),
    unpublishedTables: (input) => unpublishedTables(deps, input),
    listRuns: (input) => listRuns(deps, input),
    vacuumTables: (input) => vacuumTables(deps, input),
    holdSnapshot: (input) => holdSnapshot(deps, input),
    observeSnapshot: (input) => observeSnapshot(deps, input),
    releaseSnapshot: (input) => releaseSnapshot(deps, input),
    awaitSnapshot: (input) => awaitSnapshot(deps, input),
    startOver: (input) => startOver(deps, input),
  };
}
