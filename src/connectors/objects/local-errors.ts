import { LonghaulError, type ErrorCode } from '../../core/errors.js';
import { shownPath } from './paths.js';

interface Rule {
  readonly code: ErrorCode;
  readonly says: string;
  readonly next: string;
}

const NO_SPACE: Rule = { code: 'ServerFull', says: 'no space is left', next: 'Free space there.' };
const NOT_ALLOWED: Rule = {
  code: 'PermissionDenied',
  says: 'this is not allowed to the user of the worker',
  next: 'Give that user the right to read and write in the folder and all that is in it.',
};
const READ_ONLY: Rule = {
  code: 'PermissionDenied',
  says: 'the file system is mounted read-only',
  next: 'Mount it so that the worker can write there, or correct path of this connection in longhaul.yaml.',
};
const NO_FOLDER: Rule = {
  code: 'ServerUnsuitable',
  says: 'a part of the path is not a folder, and none can be made there',
  next: 'Correct path of this connection in longhaul.yaml, or remove what stands in its way.',
};
const AWAY: Rule = {
  code: 'ConnectionFailed',
  says: 'the disk can not be read or written',
  next: 'Look at the disk; the copy goes on by itself when it is back.',
};
const TOO_LONG: Rule = {
  code: 'DataRejected',
  says: 'a name is too long for this file system',
  next: 'Partition by a column with shorter values.',
};
const NO_LINKS: Rule = {
  code: 'ServerUnsuitable',
  says: 'the file system has no hard links, by which a file is created whole or not at all',
  next: 'Take a folder of a local file system such as ext4, XFS, Btrfs, ZFS or APFS.',
};

const RULES: Readonly<Record<string, Rule>> = {
  ENOSPC: NO_SPACE,
  EDQUOT: NO_SPACE,
  EFBIG: NO_SPACE,
  EACCES: NOT_ALLOWED,
  EPERM: NOT_ALLOWED,
  EROFS: READ_ONLY,
  ENOTDIR: NO_FOLDER,
  ELOOP: NO_FOLDER,
  EIO: AWAY,
  ENXIO: AWAY,
  ENODEV: AWAY,
  ESTALE: AWAY,
  ENAMETOOLONG: TOO_LONG,
};

/** `link` is refused with EPERM and the like where it is unknown; where the folder is not ours to write, with EACCES. */
const LINK_RULES: Readonly<Record<string, Rule>> = {
  ...RULES,
  EPERM: NO_LINKS,
  ENOTSUP: NO_LINKS,
  EOPNOTSUPP: NO_LINKS,
  ENOSYS: NO_LINKS,
  EXDEV: { ...NO_LINKS, says: 'a folder in it is on another file system, so that no file can be linked into it' },
};

export function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code;
}

/** For `catch`: undefined for errors of these codes. */
export function ignoring(...codes: readonly string[]): (error: unknown) => undefined {
  return (error) => {
    if (!codes.includes(codeOf(error) ?? '')) throw error;
    return undefined;
  };
}

/** `what`: what was being done, e.g. `writing`. A LonghaulError is handed on. */
export function localError(error: unknown, connection: string, what: string, path: string): LonghaulError {
  if (error instanceof LonghaulError) return error;
  const errno = error as NodeJS.ErrnoException;
  const rule = (errno.syscall === 'link' ? LINK_RULES : RULES)[errno.code ?? ''];
  // Node's own message holds the path, and that may hold values.
  const says = rule?.says ?? `the system answered ${errno.code ?? errno.name} to ${errno.syscall ?? 'a call'}`;
  const message = `Connection ${connection}: ${what} ${shownPath(path)}: ${says}.`;
  return new LonghaulError(rule?.code ?? 'Unknown', message, rule === undefined ? {} : { next: rule.next });
}
