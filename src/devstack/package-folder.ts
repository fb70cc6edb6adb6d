import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DevstackError } from './report.js';

/** A file of this package, whether this code runs from src/ or from dist/src/. */
export function packageFile(...path: readonly string[]): string {
  return join(packageFolder(), ...path);
}

function packageFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'bin', 'supervise.js'))) {
    if (dirname(folder) === folder) throw new DevstackError('bin/supervise.js is missing: reinstall longhaul.');
    folder = dirname(folder);
  }
  return folder;
}
