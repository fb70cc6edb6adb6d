/** Everything exported here can be started by name. */
export { checkJob } from './check-job.js';
export { cleanRuns } from './clean-runs.js';
export { copyJob } from './copy-job.js';
export { copyTable } from './copy-table.js';
export { verifyJob } from './verify-job.js';
export { listRuns } from './list-runs.js';
export { vacuumTables } from './vacuum-tables.js';
export { keepSnapshot } from './keep-snapshot.js';
