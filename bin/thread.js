// Runs a module of ours in a worker thread: from dist as it is, from the sources through jiti, since a thread knows no TypeScript.
//
// workerData  { module: the module's file URL, data: what the module finds as its workerData }
//
// It lives in bin/, not in src/, because it must be plain JavaScript at the same place for sources, dist and packages.
import { workerData } from 'node:worker_threads';

const { module } = workerData;
if (module.endsWith('.ts')) {
  const { createJiti } = await import('jiti');
  await createJiti(import.meta.url).import(module);
} else {
  await import(module);
}
