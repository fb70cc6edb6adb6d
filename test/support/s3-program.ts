import { execFile } from 'node:child_process';
import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { makeFolderOnce, userCacheDir } from '../../src/devstack/cache.js';

/** Apache-2.0; conditional puts are decided under a lock of the key. Pinned. */
const VERSION = 'v1.8.0';
const PACKAGE = `github.com/versity/versitygw/cmd/versitygw@${VERSION}`;

/** versitygw, an S3 server over a folder, built once by Go from its module proxy and kept in the user's cache. */
export async function s3Program(): Promise<string> {
  const folder = join(userCacheDir(), `versitygw-${VERSION}-${process.platform}-${process.arch}`);
  await makeFolderOnce(folder, build);
  return join(folder, 'versitygw');
}

async function build(draft: string): Promise<void> {
  process.stderr.write(`Building versitygw ${VERSION}, the S3 server of the tests (some minutes, once) …\n`);
  const env = { ...process.env, GOBIN: draft, GOFLAGS: '-buildvcs=false', CGO_ENABLED: '0' };
  await promisify(execFile)('go', ['install', '-gcflags=all=-N -l', '-ldflags=-s -w', PACKAGE], { env });
}
