import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import {
  appendFile,
  chown,
  mkdir,
  mkdtemp,
  readFile,
  realpath,
  rename,
  rm,
  rmdir,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Account } from './account.js';
import { DevstackError, reasonOf, type Log } from './report.js';

/** The superuser of every embedded Postgres. */
export const SUPERUSER = 'postgres';

/** One embedded Postgres' folder, ready to be started. */
export interface PostgresData {
  /** Postgres' own data directory. */
  readonly cluster: string;
  readonly logFile: string;
  /** The superuser's, made at random at the first start and kept in the folder (mode 0600) for the next. */
  readonly password: string;
}

/**
 * Makes `dataDir` a folder with a Postgres cluster, or finds the one that is there. It holds `cluster/`, `password` and
 * `postgres.log`, all owned by `account` and closed to others.
 */
export async function preparePostgresData(
  dataDir: string,
  initdb: string,
  account: Account | undefined,
  log: Log,
): Promise<PostgresData> {
  const folder = await enterableFolder(resolve(dataDir), account, log);
  const cluster = join(folder, 'cluster');
  const passwordFile = join(folder, 'password');
  if (!existsSync(cluster)) await makeCluster(initdb, cluster, passwordFile, account);
  const password = await readFile(passwordFile, 'utf8').catch(() => {
    throw new DevstackError(
      `${passwordFile} can't be read, so nobody can sign in to the Postgres in ${folder}. ` +
        'Restore the file, or delete the folder to start with an empty Postgres.',
    );
  });
  const logFile = join(folder, 'postgres.log');
  await appendFile(logFile, '', { mode: 0o600 });
  if (account) await chown(logFile, account.uid, account.gid);
  return { cluster, logFile, password: password.trim() };
}

/** Deletes a stopped Postgres' folder, wherever its data really lies. */
export async function removePostgresData(dataDir: string): Promise<void> {
  const folder = await realpath(dataDir).catch(() => dataDir);
  await rm(folder, { recursive: true, force: true });
  await rm(dataDir, { recursive: true, force: true });
}

/**
 * The real folder for `dataDir`. If the account can't get there (root's home is closed to it), the data lies below /var/tmp
 * instead and a symlink at `dataDir` leads to it: the symlink alone knows the place, so deleting it forgets the data.
 */
async function enterableFolder(dataDir: string, account: Account | undefined, log: Log): Promise<string> {
  await mkdir(dirname(dataDir), { recursive: true });
  if (!existsSync(dataDir)) await rm(dataDir, { force: true }); // A link whose data was deleted.
  if (account && (await isFree(dataDir)) && !(await canEnter(await realpath(dirname(dataDir)), account))) {
    const elsewhere = await mkdtemp('/var/tmp/longhaul-postgres-');
    await symlink(elsewhere, dataDir);
    log(`Postgres can't enter ${dataDir} (it must not run as root): its data is in ${elsewhere}, with a link to it.`);
  }
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const folder = await realpath(dataDir);
  if (account) await chown(folder, account.uid, account.gid);
  return folder;
}

/** Whether nothing is at the path, after removing an empty folder from it. */
async function isFree(path: string): Promise<boolean> {
  await rmdir(path).catch(() => undefined);
  return !existsSync(path);
}

/** Whether every folder on the way can be entered by the account (group lists and ACLs left aside). */
async function canEnter(folder: string, account: Account): Promise<boolean> {
  const { mode, uid, gid } = await stat(folder);
  const bit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
  if ((mode & bit) === 0) return false;
  return folder === dirname(folder) || canEnter(dirname(folder), account);
}

/** Whole or not at all: initdb works under another name, so a crash in the middle leaves no half cluster. */
async function makeCluster(
  initdb: string,
  cluster: string,
  passwordFile: string,
  account: Account | undefined,
): Promise<void> {
  const draft = `${cluster}.draft`;
  await rm(draft, { recursive: true, force: true });
  await rm(passwordFile, { force: true });
  await writeFile(passwordFile, `${randomBytes(24).toString('hex')}\n`, { mode: 0o600 });
  if (account) await chown(passwordFile, account.uid, account.gid);
  await runInitdb(initdb, draft, passwordFile, account);
  await rename(draft, cluster);
}

/** Text sorts and folds by code point, by Postgres' own provider: the same on every platform, whatever locales it has. */
function runInitdb(initdb: string, cluster: string, passwordFile: string, account: Account | undefined): Promise<void> {
  const args = [
    `--pgdata=${cluster}`,
    `--username=${SUPERUSER}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    // Against guesses of a weak password. Ours is random, of 192 bits, and costs every session's start two milliseconds of the client.
    ...['-c', 'scram_iterations=1'],
    '--no-sync', // An empty cluster is made again sooner than it is synced.
  ];
  return new Promise((done, fail) => {
    execFile(initdb, args, { cwd: dirname(cluster), ...account }, (error, _stdout, stderr) => {
      if (!error) done();
      else fail(new DevstackError(`Can't make a Postgres in ${dirname(cluster)}: ${stderr.trim() || reasonOf(error)}`));
    });
  });
}
