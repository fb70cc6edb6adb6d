/** Everything exported here can be started by name. */
export { checkJob } from './check-job.js';
export { cleanRun } from './clean-run.js';
export { copyJob } from './copy-job.js';
export { copyTable } from './copy-table.js';
export { keepSnapshot } from './keep-snapshot.js';
