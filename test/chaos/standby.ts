import { chown, copyFile, mkdir, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { postgresAccount, type Account } from '../../src/devstack/account.js';
import { startPostgres, type PostgresServer } from '../../src/devstack/postgres.js';
import { removePostgresData } from '../../src/devstack/postgres-data.js';
import { FaultProxy } from './proxy.js';
import { withClient, type Database } from './stack.js';

/** Contents that a base backup leaves out. */
const LEFT_OUT = new Set([
  'pg_wal',
  'pg_replslot',
  'pg_dynshmem',
  'pg_notify',
  'pg_serial',
  'pg_snapshots',
  'pg_stat_tmp',
  'pg_subtrans',
]);
const NOT_COPIED = new Set(['postmaster.pid', 'postmaster.opts']);

/** An asynchronous standby of a database, which can be cut off from what its primary commits, and take its place. */
export class Standby {
  private constructor(
    private readonly database: Database,
    private readonly dataDir: string,
    private readonly server: PostgresServer,
    /** What its primary sends comes by way of this. */
    private readonly line: FaultProxy,
  ) {}

  /** Resolves when it answers queries. */
  static async of(database: Database): Promise<Standby> {
    const dataDir = `${(await realpath(database.dataDir)).replace(/-standby$/, '')}${database.dataDir.endsWith('-standby') ? '' : '-standby'}`;
    await removePostgresData(dataDir);
    const line = await FaultProxy.start(database.server.port);
    await backUp(database, dataDir);
    const { username, password } = new URL(database.url());
    const primary = `host=127.0.0.1 port=${line.port} user=${username} password=${password}`;
    const settings = { ...database.settings, primary_conninfo: primary, wal_retrieve_retry_interval: '200ms' };
    const server = await startPostgres({ dataDir, settings, log: () => undefined });
    return new Standby(database, dataDir, server, line);
  }

  /** On a session of its own. */
  query<Row extends object>(sql: string, values: unknown[]): Promise<Row[]> {
    return withClient(this.server.url('chaos'), async (client) => (await client.query<Row>(sql, values)).rows);
  }

  /** From now on it gets nothing of what its primary commits. */
  cutOff(): void {
    this.line.closed = true;
    for (const link of this.line.links) link.cut('reset');
  }

  /** The primary crashes and is gone for good; whoever connects comes to the standby from now on. */
  async takeOver(): Promise<void> {
    const { database } = this;
    await database.crash();
    await withClient(this.server.url('postgres'), (client) => client.query('SELECT pg_promote(true, 60)'));
    await removePostgresData(database.dataDir);
    database.dataDir = this.dataDir;
    database.server = this.server;
    database.proxy.lead(this.server.port);
    await this.line.stop();
  }

  /** When it has not taken over. */
  async discard(): Promise<void> {
    if (this.database.server === this.server) return;
    await this.server.stop({ mode: 'immediate' });
    await this.line.stop();
    await removePostgresData(this.dataDir);
  }
}

/** A base backup of a running server, with what makes it a standby. */
async function backUp(database: Database, dataDir: string): Promise<void> {
  const account = await postgresAccount();
  await makeFolder(dataDir, account);
  await copy(join(database.dataDir, 'password'), join(dataDir, 'password'), account);
  const to = join(dataDir, 'cluster');
  await withClient(database.url(), async (client) => {
    await client.query(`SELECT pg_backup_start('standby', true)`);
    await copyFolder(join(database.dataDir, 'cluster'), to, account);
    const { rows } = await client.query<{ labelfile: string }>('SELECT labelfile FROM pg_backup_stop(false)');
    await writeFile(join(to, 'backup_label'), rows[0]!.labelfile);
  });
  await writeFile(join(to, 'standby.signal'), '');
  for (const name of ['archive_status', 'summaries']) await makeFolder(join(to, 'pg_wal', name), account);
  for (const name of ['backup_label', 'standby.signal']) await own(join(to, name), account);
}

async function copyFolder(from: string, to: string, account: Account | undefined): Promise<void> {
  await makeFolder(to, account);
  const entries = (await readdir(from, { withFileTypes: true })).filter(({ name }) => !NOT_COPIED.has(name));
  for (const entry of entries) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (LEFT_OUT.has(entry.name)) await makeFolder(target, account);
    else if (entry.isDirectory()) await copyFolder(source, target, account);
    else await copy(source, target, account);
  }
}

/** A file that goes away meanwhile is one that the log, from the backup's start on, makes or removes again. */
async function copy(from: string, to: string, account: Account | undefined): Promise<void> {
  try {
    await copyFile(from, to);
    await own(to, account);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    await rm(to, { force: true });
  }
}

async function makeFolder(path: string, account: Account | undefined): Promise<void> {
  await mkdir(path, { mode: 0o700 });
  await own(path, account);
}

async function own(path: string, account: Account | undefined): Promise<void> {
  if (account) await chown(path, account.uid, account.gid);
}
