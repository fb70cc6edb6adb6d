import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Compiled to dist/src/worker, beside which the build leaves the bundle; run from the sources there is none. */
const BUNDLE = fileURLToPath(new URL('../../workflow-bundle.js', import.meta.url));

/**
 * The workflows' code for a worker: the prebuilt bundle, which keeps a worker's start short and webpack out of its memory; else
 * the sources, bundled at its start.
 */
export function workflowSource(): { workflowBundle: { codePath: string } } | { workflowsPath: string } {
  if (existsSync(BUNDLE)) return { workflowBundle: { codePath: BUNDLE } };
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return { workflowsPath: fileURLToPath(new URL(`../../workflows/index.${extension}`, import.meta.url)) };
}
