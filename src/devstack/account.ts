import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** An operating system account, by number. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** True if this process has root's powers, with which Postgres refuses to run. */
export function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

/**
 * The account Postgres must run as: nothing for an ordinary user (its own), for root the user behind sudo, or else
 * `nobody`. It must be in the system's user list: initdb looks its name up.
 */
export async function postgresAccount(env: NodeJS.ProcessEnv = process.env): Promise<Account | undefined> {
  if (!isRoot()) return undefined;
  const uid = Number(env.SUDO_UID ?? 0);
  if (uid > 0) return { uid, gid: Number(env.SUDO_GID ?? uid) };
  return { uid: await idOfNobody('-u'), gid: await idOfNobody('-g') };
}

/** 65534 on today's Linux; macOS has -2, older systems 99. */
async function idOfNobody(which: '-u' | '-g'): Promise<number> {
  const { stdout } = await promisify(execFile)('id', [which, 'nobody']).catch(() => ({ stdout: '65534' }));
  return Number(stdout);
}
