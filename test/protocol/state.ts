import type { TableState } from '../../src/core/model.js';

/** What a state of the model is made of: docs/protocol.md says which table, transaction or history each part stands for. */

/** How the source's statistics of the day would cut the table's three rows into two partitions. */
export type Plan = 'A' | 'B';

/** The rows of each partition under each plan. */
export const CUT: Readonly<Record<Plan, readonly (readonly number[])[]>> = {
  A: [[0], [1, 2]],
  B: [[0, 1], [2]],
};
export const PARTITIONS = [0, 1] as const;
export const ROWS = [0, 1, 2] as const;

export interface Receipt {
  /** Stands for the hash of the predicate. */
  plan: Plan;
  skipped: boolean;
}

/** A table of rows, told by the snapshot whose staging it is or was: how often each row is in it. */
export interface Relation {
  snapshot: number;
  rows: number[];
}

/** What the destination keeps over a crash. */
export interface Stored {
  state: TableState;
  snapshot: number;
  plan: Plan | '';
  /** Its plan and receipts were cleaned away. */
  forgotten: boolean;
  receipts: (Receipt | undefined)[];
  staging: Relation[];
  /** Undefined: still what it was before the run. */
  target: Relation | undefined;
}

export type Doing = 'copy' | 'prepare' | 'publish' | 'close' | 'open' | 'resume' | 'start over';

/** One execution of an activity, with its session at the destination. Where it stands (`at`) is what it did last. */
export interface Session {
  does: Doing;
  /** The workflow waits for its answer. Otherwise it is a zombie: given up, and going on. */
  live: boolean;
  at: string;
  /** Of copy: the partition. */
  partition: number;
  /** As its record said when it was read; of a start over, the one that was lost. */
  snapshot: number;
  plan: Plan | '';
  /** Of close. */
  to: 'suspended' | 'discarded' | '';
  /** Of a start over that deletes first: the partitions whose receipts it saw. */
  deletes: string;
}

/** Where the workflow is; its last four are ends. */
export type JobStep =
  | 'open'
  | 'resume'
  | 'prepare'
  | 'copy'
  | 'publish'
  | 'start over'
  | 'suspend'
  | 'discard'
  | 'succeeded'
  | 'closed'
  | 'failed'
  | 'terminated';

export interface Job {
  step: JobStep;
  /** What history calls done, and what of it the operator has skipped. */
  done: boolean[];
  skipped: boolean[];
  /** The snapshot that it reads under, as it was told last. */
  snapshot: number;
  /** A close was asked for by `clean`, which also forgets. */
  cleans: boolean;
  /** The discard has answered that no staging is left. */
  swept: boolean;
}

/** A REPEATABLE READ transaction at the destination. Looks up the target by its name when it reads, with the rows of its begin. */
export interface Reader {
  sees: Relation;
  /** It began before the table was closed for publishing. */
  older: boolean;
}

/** How often each of these may still happen. */
export const CHANCES = [
  'zombies',
  'crashes',
  'lost answers',
  'resets',
  'terminations',
  'cancels',
  'discards',
  'resumes',
  'cleans',
  'skips',
  'lost snapshots',
  'restarts',
  'failovers',
  'other statistics',
  'readers',
] as const;
export type Chance = (typeof CHANCES)[number];

export interface State {
  stored: Stored;
  /** The standby, one commit behind; kept while a failover may still come. */
  standby: Stored | undefined;
  sessions: Session[];
  job: Job;
  reader: Reader | undefined;
  statistics: Plan;
  left: Readonly<Record<Chance, number>>;
  /** What was seen to go wrong in the step that led here. */
  broken: string;
}

const NEW_JOB = { snapshot: 1, cleans: false, swept: false };

export function initialState(chances: Partial<Record<Chance, number>>, { visible }: { visible: boolean }): State {
  const left = Object.fromEntries(CHANCES.map((each) => [each, chances[each] ?? 0])) as Record<Chance, number>;
  const target = visible ? { snapshot: 1, rows: [0, 0, 0] } : undefined;
  const receipts = [undefined, undefined];
  const stored: Stored = { state: 'open', snapshot: 1, plan: '', forgotten: false, receipts, staging: [], target };
  const job: Job = { ...NEW_JOB, step: 'prepare', done: [false, false], skipped: [false, false] };
  return {
    ...{ stored, job, left, statistics: 'A', broken: '' },
    ...{ standby: left.failovers > 0 ? stored : undefined, sessions: [], reader: undefined },
  };
}

/** A draft of the next state, to be changed at will; of its sessions, only the one of that index. */
export function draftOf(state: State, index: number): State {
  const { job, reader } = state;
  const sessions = [...state.sessions];
  if (index >= 0) sessions[index] = { ...sessions[index]! };
  return {
    stored: storedDraft(state.stored),
    standby: state.standby,
    sessions,
    job: { ...job, done: [...job.done], skipped: [...job.skipped] },
    reader: reader && { ...reader },
    statistics: state.statistics,
    left: state.left,
    broken: '',
  };
}

function storedDraft(stored: Stored): Stored {
  return {
    ...stored,
    receipts: [...stored.receipts],
    staging: stored.staging.map(copyOf),
    target: stored.target && copyOf(stored.target),
  };
}

export function copyOf({ snapshot, rows }: Relation): Relation {
  return { snapshot, rows: [...rows] };
}
