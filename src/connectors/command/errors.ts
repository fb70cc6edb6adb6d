import { LonghaulError, type ErrorCode } from '../../core/errors.js';
import { counted } from '../../core/text.js';

/** What an attempt is about, as errors call it. */
export interface Subject {
  readonly connection: string;
  /** The query's id. */
  readonly query: string;
  readonly table: string;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const AGAIN = 'It is tried again. If it stays so, run the program by hand with this query.';

interface Meaning {
  readonly says: string;
  readonly code?: ErrorCode;
  readonly next?: string;
}

/** Exit codes that say more than their number: those of sysexits.h that the protocol knows, and those of shells. */
const CODES: Readonly<Record<number, Meaning>> = {
  65: {
    says: 'EX_DATAERR: trying again can not help',
    code: 'SourceRefused',
    next: 'Correct the query or the data that it reads, then retry the partition.',
  },
  75: { says: 'EX_TEMPFAIL: it may work later', next: 'It is tried again.' },
  78: {
    says: 'EX_CONFIG: trying again can not help',
    code: 'SourceRefused',
    next: "Correct the program's configuration, then retry the partition.",
  },
  126: { says: 'of a shell: a command was found and could not be executed' },
  127: { says: 'of a shell: a command was not found' },
  137: { says: 'of a shell: a command was ended by SIGKILL' },
};

const KILLED =
  "It is tried again. Where nobody sent SIGKILL, the machine may have run out of memory: the kernel's log says so.";

/** `words`: its last lines of standard error, without secrets. */
export function programFailed(subject: Subject, exit: Exit, words: readonly string[]): LonghaulError {
  const { happened, code = 'SourceFailed', next = AGAIN } = meaningOf(exit);
  const said = words.length === 0 ? ' It wrote nothing to standard error.' : `\n${lastLines(words)}`;
  return new LonghaulError(code, `${onQuery(subject, happened)}; nothing was committed.${said}`, { next });
}

function meaningOf({ code, signal }: Exit): Omit<Meaning, 'says'> & { readonly happened: string } {
  if (code === null) {
    return { happened: `was ended by ${signal ?? 'a signal'}`, ...(signal === 'SIGKILL' && { next: KILLED }) };
  }
  const { says, ...meaning } = CODES[code] ?? { says: undefined };
  return { ...meaning, happened: `exited with code ${code}${says === undefined ? '' : ` (${says})`}` };
}

function lastLines(words: readonly string[]): string {
  return ['The last it wrote to standard error:', ...words.map((line) => `  ${line}`)].join('\n');
}

function onQuery({ connection, query, table }: Subject, happened: string): string {
  return `Query ${query} of ${table}: the program of connection "${connection}" ${happened}`;
}

/** A stream that came to its end in another way than the protocol's. */
function broken(subject: Subject, happened: string, next: string): LonghaulError {
  return new LonghaulError('SourceFailed', `${onQuery(subject, happened)}; nothing was committed.`, { next });
}

export function countDiffers(subject: Subject, given: number, told: number): LonghaulError {
  return broken(
    subject,
    `gave ${counted(given, 'row')} and says in its trailer that there are ${told.toLocaleString('en-US')}`,
    AGAIN,
  );
}

export function trailerMalformed(subject: Subject): LonghaulError {
  return broken(subject, 'left a trailer that can not be read', 'Let it write {"rows": 1000}, or nothing.');
}

export function notDone(subject: Subject): LonghaulError {
  return broken(
    subject,
    'exited with code 0 and left no file _done beside its files',
    'Let it make _done when all files are complete: it is tried again.',
  );
}

export function pipeReplaced(subject: Subject): LonghaulError {
  return broken(
    subject,
    'put something else in the place of the named pipe that its rows go to',
    'Let it open `out` for writing and nothing more; a library that makes files of its own needs output: files.',
  );
}

export function pipeHeld(subject: Subject): LonghaulError {
  return broken(
    subject,
    'exited with code 0 while a process that it had started still held its rows open',
    'Let it wait for what it starts: it is tried again.',
  );
}

/** `what`: with its article, without its content. */
export function strangeFile(subject: Subject, what: string): LonghaulError {
  return broken(subject, `left ${what}`, 'Let it leave files and folders only: it is tried again.');
}

export function filesUnreadable(subject: Subject, code: string): LonghaulError {
  return broken(subject, `left files that can not be read (${code})`, AGAIN);
}

/** Nothing is wrong with the query: another worker may do better, and so may this one when it is mended. */
export function notStarted(connection: string, why: string): LonghaulError {
  return new LonghaulError(
    'ConnectionFailed',
    `The program of connection "${connection}" can not be started on this worker: ${why}.`,
    {
      next: 'Correct run, cwd or env of the connection in longhaul.yaml, or install the program; the copy goes on by itself.',
    },
  );
}

export function noFolder(connection: string, why: string): LonghaulError {
  return new LonghaulError(
    'ConnectionFailed',
    `Connection "${connection}" has no temporary folder on this worker: ${why}.`,
    { next: 'Make room there, or name another folder: tmpDir in longhaul.yaml; the copy goes on by itself.' },
  );
}
