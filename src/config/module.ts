import { z } from 'zod';
// eslint-disable-next-line no-restricted-imports -- the type of what this schema makes, and nothing else of the connector
import type { ModuleConnectionConfig } from '../connectors/module/config.js';
import type { FindFile } from './postgres.js';
import { located, strict, type Compiled } from './problems.js';
import { withSecrets } from './secrets.js';

/** A connection of type `module` in `longhaul.yaml`, references resolved. */
export const moduleSchema = strict({
  type: z.literal('module'),
  path: z.string({ error: "is not a path — write one from this file's folder, e.g. ./sources/erp.ts" }).min(1),
  options: z.record(z.string(), z.unknown()).prefault({}),
});

export type CompiledModule = Compiled<ModuleConnectionConfig>;

/** The module itself is loaded by the first attempt that needs it. */
export function compileModule(
  name: string,
  { type, path, options }: z.output<typeof moduleSchema>,
  find: FindFile,
): CompiledModule {
  const found = find(path);
  if (found === undefined) {
    const fix = "write the path of a TypeScript or JavaScript module, as seen from this file's folder";
    return { problems: [located(['path'], 'the file can not be read', fix)], warnings: [] };
  }
  const connection = withSecrets({ type, name, path: found, written: path, options }, ['options']);
  return { connection, problems: [], warnings: [] };
}
