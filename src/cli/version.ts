import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The version in the package.json this file belongs to: two folders up from src/cli, three up from dist/src/cli. */
export function packageVersion(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  const file = ['../../package.json', '../../../package.json'].map((path) => join(here, path)).find(existsSync)!;
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
