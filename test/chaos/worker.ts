import { loadWorkerConfig } from '../../src/config/index.js';
import { runWorker } from '../../src/worker/run.js';
import { armFromEnvironment } from './arm.js';

/** A worker as `longhaul worker` runs it, with what a test arms in it: argv[2] is its longhaul.yaml. */
armFromEnvironment(process.env);
const { config, env } = loadWorkerConfig(process.argv[2], process.env);
await runWorker({ config, env });
