import type { Rules } from './rules.js';
import { CUT, PARTITIONS, type Relation, type Session, type State, type Stored } from './state.js';

/** What the steps of all sessions have in common: locks, ends, answers. */

/** One way to keep the protocol. */
export interface Protocol {
  readonly rules: Rules;
  /** `publish: partition`: attempts load the target itself. */
  readonly visible: boolean;
  /** `consistency: snapshot`: a resumed run starts over. */
  readonly underSnapshot: boolean;
}

/** A step that one session can take now. Steps that have to wait are not there. */
export interface Move {
  readonly what: string;
  /** A transaction of it commits: the answer may be lost. */
  readonly commits: boolean;
  readonly change: (draft: State, me: Session) => void;
}

export function does(what: string, change: Move['change']): Move {
  return { what, commits: false, change };
}

export function commits(what: string, change: Move['change']): Move {
  return { what, commits: true, change };
}

/** The activity ends, and the workflow hears of it, unless it has given it up. */
export function answers(draft: State, me: Session, told: (job: State['job']) => void): void {
  remove(draft, me);
  if (me.live) told(draft.job);
}

/** An error that ends the table, and with it the job, which then suspends its run. */
export function fails(draft: State, me: Session): void {
  answers(draft, me, (job) => {
    if (WORKING.has(job.step)) job.step = 'suspend';
  });
}

export const WORKING: ReadonlySet<State['job']['step']> = new Set([
  'open',
  'resume',
  'prepare',
  'copy',
  'publish',
  'start over',
]);

/** pg_terminate_backend: the transaction rolls back. A workflow that waits for it begins the activity again. */
export function endSessions(draft: State, me: Session | undefined, which: (session: Session) => boolean): void {
  draft.sessions = draft.sessions.filter((session) => session === me || !which(session));
}

export function remove(draft: State, me: Session): void {
  draft.sessions = draft.sessions.filter((session) => session !== me);
}

/** Its receipt is written and not committed, and where attempts lock their partition, the lock is its own. */
export function holdsPartition(partition: number): (session: Session) => boolean {
  return ({ does, at, partition: its }) => does === 'copy' && its === partition && CLAIMED.has(at);
}

const CLAIMED: ReadonlySet<string> = new Set(['claimed', 'loaded', 'checked']);

/** It has opened its staging, and holds the relation's lock until it ends. */
export function writesStaging({ does, at }: Session): boolean {
  return does === 'copy' && (at === 'loaded' || at === 'checked');
}

/** FOR SHARE: no one may change the row. */
export function holdsRow({ rules }: Protocol): (session: Session) => boolean {
  return ({ does, at }) => does === 'copy' && at === 'checked' && rules.has('check holds the row');
}

/** FOR UPDATE, and the lock of publishing: in the middle of its swap. */
export function swaps({ does, at }: Session): boolean {
  return does === 'publish' && at === 'swapping';
}

/** In either way. */
export function keepsRow(protocol: Protocol): (session: Session) => boolean {
  return (session) => holdsRow(protocol)(session) || swaps(session);
}

export function isAnother(state: State, me: Session, which: (session: Session) => boolean): boolean {
  return state.sessions.some((session) => session !== me && which(session));
}

/**
 * Whether the row may be changed now by one who ends whoever swaps: nobody holds it FOR SHARE, and whoever holds it FOR UPDATE is
 * there to be ended.
 */
export function mayChangeRow(protocol: Protocol, state: State, me: Session): boolean {
  if (isAnother(state, me, holdsRow(protocol))) return false;
  return protocol.rules.has('publish lock') || !isAnother(state, me, swaps);
}

/** The number in the staging's name. */
export function stagingNumber({ rules }: Protocol, snapshot: number): number {
  return rules.has('staging by snapshot') ? snapshot : 1;
}

/** Where attempts under a snapshot load; undefined: it is not there. */
export function loadedInto(protocol: Protocol, stored: Stored, snapshot: number): Relation | undefined {
  if (protocol.visible) return stored.target;
  const number = stagingNumber(protocol, snapshot);
  return stored.staging.find((staging) => staging.snapshot === number);
}

/** How often each row should be there, as the receipts say. */
export function promised({ receipts }: Stored): number[] {
  const rows = [0, 0, 0];
  for (const partition of PARTITIONS) {
    const receipt = receipts[partition];
    if (receipt === undefined || receipt.skipped) continue;
    for (const row of CUT[receipt.plan][partition]!) rows[row]! += 1;
  }
  return rows;
}
