/**
 * The closed list of what can go wrong. Each code says whether the same attempt may be tried again by itself, and whether it
 * is the connection that fails (then the table pauses and one attempt probes) or this partition.
 *
 * A message says what happened and to which connection, table or partition; `next` what the operator does about it.
 * Neither holds a credential, a URL or a key value.
 */

/** What becomes of an attempt that failed with this code. */
export type Handling =
  /** Tried again by the declared retry policy; parks when the attempts are used up. */
  | 'retry'
  /** The system behind the connection is away: the table pauses and probes, and nothing parks. */
  | 'connection'
  /** Trying again can't help: the partition parks at once. */
  | 'park'
  /** The whole table can't go on. */
  | 'table'
  /** The whole job can't go on. */
  | 'job';

const HANDLING = {
  /** The job file, or what it names, is wrong; all problems are listed. */
  JobInvalid: 'job',
  /** Another open run holds the target. */
  TargetLeased: 'job',
  /** A job of the same name has appended to the target already. */
  TargetAppended: 'job',
  /** A resume whose specification, source or target no longer fits. */
  ResumeRefused: 'job',
  /** The run or table was closed (published, suspended, discarded) while an attempt was under way. */
  RunClosed: 'table',
  /** A receipt or plan of other content stands under the same key. */
  PlanChanged: 'table',
  /** The source's columns or types are not what the plan was made for. */
  SourceChanged: 'table',
  /** The target is not what preflight saw, or has dependents that can't be kept. */
  TargetChanged: 'table',
  /** No session holds the run's snapshot any more. */
  SnapshotLost: 'table',
  /** The run's snapshot was held for as long as `maxSnapshotAge` allows, and was let go. */
  SnapshotTooOld: 'table',
  /** A source table was rewritten or truncated after the snapshot was taken: under it, its rows are no longer what they were. */
  SourceRewritten: 'table',
  /** The content that was loaded is not what was read. */
  DigestMismatch: 'table',
  /** Rows read and rows written differ. */
  CountMismatch: 'retry',
  /** The server refused a value or constraint. */
  DataRejected: 'park',
  /** The server refused for lack of a privilege. */
  PermissionDenied: 'park',
  /** A statement is wrong: a query of the job, or a table that is gone. */
  StatementInvalid: 'park',
  /** Unreachable, refused, signed out, shutting down, too many connections. */
  ConnectionFailed: 'connection',
  /** On this worker, a connection's name leads to another database than it did where the run was opened. Another worker may take it. */
  ConnectionMismatch: 'connection',
  /** All session slots of a connection are taken. */
  SessionLimit: 'connection',
  /** Out of disk or memory on the server. */
  ServerFull: 'connection',
  /** A transaction-mode pooler, or a setting that would break the copy. */
  ServerUnsuitable: 'job',
  /** A program or module that is a source has failed, or its stream broke off. */
  SourceFailed: 'retry',
  /** A program or module that is a source says that trying again can't help. */
  SourceRefused: 'park',
  /** More rows of a partition were refused than `rejects.max` allows. */
  TooManyRejects: 'park',
  /** No byte moved for the stated time. */
  Stalled: 'retry',
  /** Deadlock or serialization failure. */
  Conflict: 'retry',
  /** A lock could not be had in time. */
  LockTimeout: 'retry',
  /** Anything else: retried. */
  Unknown: 'retry',
} as const satisfies Record<string, Handling>;

export type ErrorCode = keyof typeof HANDLING;

export function handlingOf(code: ErrorCode): Handling {
  return HANDLING[code];
}

export function isErrorCode(text: string | null | undefined): text is ErrorCode {
  return typeof text === 'string' && Object.hasOwn(HANDLING, text);
}

/** One thing wrong with a job, with its place in the job file. */
export interface Problem {
  /** Path in the job file, e.g. `tables[2].where`; empty for the job as a whole. */
  readonly path: string;
  readonly message: string;
  /** What would be right. */
  readonly fix?: string;
}

export interface LonghaulErrorOptions {
  /** What the operator does next. */
  readonly next?: string;
  readonly problems?: readonly Problem[];
  readonly cause?: unknown;
}

export class LonghaulError extends Error {
  override readonly name = 'LonghaulError';
  readonly next: string | undefined;
  readonly problems: readonly Problem[];

  constructor(
    readonly code: ErrorCode,
    message: string,
    options: LonghaulErrorOptions = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.next = options.next;
    this.problems = options.problems ?? [];
  }

  get handling(): Handling {
    return handlingOf(this.code);
  }
}

/** The problems of a job as a person reads them, one a line. */
export function formatProblems(problems: readonly Problem[]): string {
  return problems
    .map(
      ({ path, message, fix }) => `${path === '' ? '' : `${path}: `}${message}${fix === undefined ? '' : ` — ${fix}`}`,
    )
    .join('\n');
}

export function jobInvalid(problems: readonly Problem[]): LonghaulError {
  const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
  return new LonghaulError('JobInvalid', `The job has ${count}; nothing was touched.\n${formatProblems(problems)}`, {
    problems,
    next: 'Correct the job file and start it again.',
  });
}
