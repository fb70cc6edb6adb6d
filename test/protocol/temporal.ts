import { beginReading, read } from './publishing.js';
import { endSessions, holdsPartition, keepsRow, remove, swaps, WORKING, type Move, type Protocol } from './moves.js';
import { PARTITIONS, type Chance, type Doing, type JobStep, type Session, type State } from './state.js';

/** What the workflow decides by itself, and what befalls it: faults, operators, readers. */

/** A step that no session takes. */
export interface Event {
  readonly what: string;
  readonly sure?: boolean;
  readonly chance?: Chance;
  readonly change: (draft: State) => void;
}

/** What may befall one session. */
export type Fate = Omit<Event, 'change'> & Pick<Move, 'change'>;

const ACTIVITY: Partial<Record<JobStep, Doing>> = {
  open: 'open',
  resume: 'resume',
  prepare: 'prepare',
  publish: 'publish',
  'start over': 'start over',
  suspend: 'close',
  discard: 'close',
};

/** Begins what is due. Nobody sees that an activity has begun, so that it needs no step of its own. */
export function decide(draft: State): void {
  const { job } = draft;
  if (job.step === 'copy' && job.done.every(Boolean) && !draft.sessions.some(isLive)) job.step = 'publish';
  if (job.step === 'copy') beginAttempts(draft);
  const does = ACTIVITY[job.step];
  if (does === undefined || draft.sessions.some(isLive)) return;
  const to = job.step === 'suspend' ? 'suspended' : job.step === 'discard' ? 'discarded' : '';
  draft.sessions.push(begun({ does, to, snapshot: does === 'start over' ? job.snapshot : 0 }));
}

function beginAttempts({ job, sessions }: State): void {
  for (const partition of PARTITIONS) {
    const running = sessions.some((each) => each.live && each.does === 'copy' && each.partition === partition);
    if (!running && job.done[partition] === false) sessions.push(begun({ does: 'copy', partition }));
  }
}

const isLive = ({ live }: Session): boolean => live;

function begun(what: Partial<Session> & Pick<Session, 'does'>): Session {
  return { live: true, at: 'begun', partition: -1, snapshot: 0, plan: '', to: '', deletes: '', ...what };
}

export function fates(protocol: Protocol, { job }: State, me: Session): Fate[] {
  const fates: Fate[] = [];
  // Before it has done anything its end is no news; and a zombie that sleeps for ever is as good as ended, but for its locks.
  if (me.at !== 'begun') fates.push({ what: 'crashes', chance: 'crashes', change: remove });
  if (!me.live) return protocol.rules.has('brief rows') && keepsRow(protocol)(me) ? [...fates, SILENT] : fates;
  fates.push({
    what: 'is given up, and goes on as a zombie',
    chance: 'zombies',
    change: (_, session) => (session.live = false),
  });
  const cancelled = ENDING.has(job.step) && ACTIVITY[job.step] !== me.does;
  if (cancelled) fates.push({ what: 'is cancelled', sure: true, change: remove });
  return fates;
}

/** idle_in_transaction_session_timeout, which the statement that took the row has set. */
const SILENT: Fate = { what: 'is silent with the row, and ended by the server', sure: true, change: remove };

const ENDING: ReadonlySet<JobStep> = new Set(['suspend', 'discard', 'start over']);

export function events(protocol: Protocol, state: State): Event[] {
  return [
    ...jobEvents(protocol, state),
    ...skips(protocol, state),
    ...serverEvents(protocol, state),
    ...readerEvents(protocol, state),
  ];
}

function jobEvents({ underSnapshot }: Protocol, { job }: State): Event[] {
  const found: Event[] = [];
  const to = (what: string, chance: Chance, step: JobStep) =>
    found.push({ what, chance, change: ({ job }) => (job.step = step) });
  if (WORKING.has(job.step)) {
    to('cancel', 'cancels', 'suspend');
    to('cancel --discard', 'discards', 'discard');
    found.push({ what: 'the workflow is terminated', chance: 'terminations', change: terminate });
  } else if (!ENDING.has(job.step)) {
    if (job.step !== 'succeeded') found.push({ what: 'a job with `resume`', chance: 'resumes', change: resume });
    found.push({ what: 'longhaul clean', chance: 'cleans', change: clean });
  }
  if (underSnapshot && LOSING.has(job.step)) to('the snapshot is lost', 'lost snapshots', 'start over');
  if (!BEFORE_PLAN.has(job.step)) found.push(reset('copy'));
  found.push(reset('open'));
  return found;
}

const LOSING: ReadonlySet<JobStep> = new Set(['prepare', 'copy', 'publish']);
const BEFORE_PLAN: ReadonlySet<JobStep> = new Set(['open', 'resume', 'prepare']);

/** Whoever works for a workflow that is no more is a zombie. */
function terminate(draft: State): void {
  draft.job.step = 'terminated';
  draft.sessions = draft.sessions.map((session) => ({ ...session, live: false }));
}

/** History is forgotten back to a point: the most that can be forgotten after it is all. */
function reset(step: 'open' | 'copy'): Event {
  const point = step === 'open' ? 'its beginning' : 'before its first attempt';
  return {
    what: `the workflow is reset to ${point}`,
    chance: 'resets',
    change: (draft) => {
      terminate(draft);
      draft.job = { ...forgotten(draft), step };
    },
  };
}

function resume(draft: State): void {
  draft.job = { ...forgotten(draft), step: 'resume' };
}

function forgotten({ job }: State): State['job'] {
  return { ...job, snapshot: 1, done: [false, false], skipped: [false, false], cleans: false };
}

function clean({ job }: State): void {
  job.step = 'discard';
  job.cleans = true;
}

/** One transaction, as an attempt: the lock, the receipt if there is none, the state. Of a partition that waits for a person. */
function skips(protocol: Protocol, state: State): Event[] {
  const { stored, job } = state;
  if (job.step !== 'copy' || stored.state !== 'open' || state.sessions.some(swaps)) return [];
  const parked = state.sessions.filter(({ does, live, at }) => does === 'copy' && live && at === 'begun');
  return parked.map((attempt) => ({
    what: `p${attempt.partition} is skipped`,
    chance: 'skips',
    change: (draft) => skip(protocol, draft, attempt.partition),
  }));
}

function skip({ rules }: Protocol, draft: State, partition: number): void {
  const { stored, job } = draft;
  endSessions(draft, undefined, (each) => each.live && each.does === 'copy' && each.partition === partition);
  job.done[partition] = true;
  job.skipped[partition] = stored.receipts[partition] === undefined || stored.receipts[partition].skipped;
  if (!rules.has('skip writes a receipt')) return;
  endSessions(draft, undefined, holdsPartition(partition));
  if (stored.plan !== '') stored.receipts[partition] ??= { plan: stored.plan, skipped: true };
}

function serverEvents({ rules }: Protocol, { standby, statistics, job }: State): Event[] {
  const found: Event[] = [
    {
      what: 'the destination restarts',
      chance: 'restarts',
      change: (draft) => restart(draft, rules.has('logged staging')),
    },
  ];
  if (statistics === 'A') {
    const change = (draft: State) => (draft.statistics = 'B');
    found.push({ what: 'the source has other statistics', chance: 'other statistics', change });
  }
  if (standby !== undefined && WORKING.has(job.step)) {
    const change = (draft: State) => {
      draft.stored = standby;
      restart(draft, true);
    };
    found.push({ what: 'the standby takes over, and lacks the last commit', chance: 'failovers', change });
  }
  return found;
}

/** Who has opened no session yet doesn't notice. */
function restart(draft: State, logged: boolean): void {
  draft.sessions = draft.sessions.filter(({ at }) => at === 'begun');
  draft.reader = undefined;
  if (!logged) draft.stored.staging = draft.stored.staging.map(({ snapshot }) => ({ snapshot, rows: [0, 0, 0] }));
}

/** One that begins after the swap sees all of it. */
function readerEvents(protocol: Protocol, { reader, stored }: State): Event[] {
  if (reader !== undefined) return [{ what: 'the reader reads', sure: true, change: read }];
  if (stored.target !== undefined) return [];
  const change = (draft: State) => beginReading(protocol, draft);
  return [{ what: 'a reader begins, REPEATABLE READ', chance: 'readers', change }];
}
