import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { makeFolderOnce, userCacheDir } from '../../src/devstack/cache.js';
import { packageFile } from '../../src/package-file.js';

/** All that the program is made of: its modules are pinned by their hashes. */
const PARTS = ['main.go', 'go.mod', 'go.sum'];

/** Without optimizations: it is built in half the time, and what it does is mostly to wait for the disk. */
const BUILD = ['build', '-buildvcs=false', '-trimpath', '-gcflags=all=-N -l', '-ldflags=-s -w'];

/** The tests' S3 server, built once by Go, which gets its modules from its proxy, and kept in the user's cache. */
export async function s3Program(): Promise<string> {
  const source = packageFile('test', 'support', 's3-server');
  if (source === undefined) throw new Error('test/support/s3-server is missing: run from a clone of the repository.');
  const hash = createHash('sha256');
  for (const part of PARTS) hash.update(readFileSync(join(source, part)));
  const name = `s3-server-${hash.digest('hex').slice(0, 16)}-${process.platform}-${process.arch}`;
  const folder = await makeFolderOnce(join(userCacheDir(), name), (draft) => build(source, join(draft, 's3-server')));
  return join(folder, 's3-server');
}

async function build(source: string, program: string): Promise<void> {
  process.stderr.write('Building the S3 server of the tests (a minute or two, once) …\n');
  const env = { ...process.env, CGO_ENABLED: '0' };
  await promisify(execFile)('go', [...BUILD, '-o', program, '.'], { cwd: source, env }).catch((error: unknown) => {
    throw new Error(`The S3 server of the tests could not be built; it needs Go 1.25: ${String(error)}`);
  });
}
