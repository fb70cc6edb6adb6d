import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode } from '@temporalio/worker';

/** Bundles the compiled workflows into dist/workflow-bundle.js, so that a worker needs no webpack when it starts. */

const dist = new URL('../dist/', import.meta.url);
const silent = () => undefined;
const logger = { log: silent, trace: silent, debug: silent, info: silent, warn: console.warn, error: console.error };

const { code } = await bundleWorkflowCode({
  workflowsPath: fileURLToPath(new URL('workflows/index.js', dist)),
  logger,
});
await writeFile(new URL('workflow-bundle.js', dist), code);
