import { execFile } from 'node:child_process';
import { chown, mkdir, mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { isRoot, postgresAccount } from '../../../src/devstack/account.js';
import type { FaultKind } from '../kind.js';
import type { Scene } from '../scene.js';
import type { Database } from '../stack.js';

/** A destination whose disk is full, for real: its tables are made on a file system of a few hundred KB. */

const run = promisify(execFile);

/** Less than a table of the scene needs. */
const SMALL = '600k';
const LARGE = '256m';

function mount(folder: string, size: string): Promise<unknown> {
  return run('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=0700`, 'tmpfs', folder]);
}

async function unavailable(): Promise<string | undefined> {
  if (process.platform !== 'linux' || !isRoot()) return 'it needs root on Linux, to mount a small file system';
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-mount-'));
  try {
    await mount(folder, SMALL);
    await run('umount', [folder]);
    return undefined;
  } catch {
    return 'root may not mount a file system here';
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Where the small file system is mounted, by the scene that uses it. */
const folders = new WeakMap<Scene, string>();

export const diskFull: FaultKind = {
  name: 'disk-full',
  about: "the destination's disk is full, until somebody makes it larger (root on Linux only)",
  shape: { rows: 8_000, publish: 'table' },
  unavailable,
  async run(scene) {
    const { destination } = scene.stack;
    const folder = await makeSmall(destination);
    folders.set(scene, folder);
    // Staging lies where its target lies.
    for (const table of scene.tables) await destination.query(`ALTER TABLE ${table} SET TABLESPACE small`);
    await scene.start();
    const full = async () => (await scene.logged(/No space left on device/)) > 0;
    if (await scene.until(full, 60_000)) scene.struck();
    await scene.moment(2_000);
    await run('mount', ['-o', `remount,size=${LARGE}`, folder]);
    // What is published lies on the disk that cleanUp takes away.
    await scene.until(() => scene.hasEnded(), 90_000);
  },
  async cleanUp(scene) {
    const folder = folders.get(scene);
    if (folder !== undefined) await removeSmall(scene.stack.destination, folder);
  },
};

async function makeSmall(database: Database): Promise<string> {
  const folder = `${await realpath(database.dataDir)}-small`;
  await mkdir(folder);
  await mount(folder, SMALL);
  const account = await postgresAccount();
  if (account) await chown(folder, account.uid, account.gid);
  await database.query(`CREATE TABLESPACE small LOCATION '${folder}'`);
  return folder;
}

/** Whatever was made there goes on living elsewhere. */
async function removeSmall(database: Database, folder: string): Promise<void> {
  for (const what of ['TABLE', 'INDEX']) {
    await database.query(`ALTER ${what} ALL IN TABLESPACE small SET TABLESPACE pg_default`);
  }
  await database.query('DROP TABLESPACE small');
  await run('umount', [folder]);
  await rm(folder, { recursive: true });
}
