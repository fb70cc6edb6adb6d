import { answers, commits, does, endSessions, fails, isAnother, loadedInto, mayChangeRow } from './moves.js';
import { stagingNumber, swaps, writesStaging, type Move, type Protocol } from './moves.js';
import { PARTITIONS, type Session, type State, type Stored } from './state.js';

/** What is done to a table as a whole, but publishing: prepare.ts and plans.ts, closing.ts and discard.ts, runs.ts, snapshots.ts. */

export function prepareMoves(protocol: Protocol, state: State, me: Session): Move[] {
  if (me.at === 'begun') return [removeEarlier(protocol)];
  if (isAnother(state, me, swaps)) return [];
  if (me.at === 'told') return [makeStaging(protocol, state, me)];
  if (me.at === 'staged') return [readPlan(protocol, state)];
  return [putPlan(protocol, state, me)];
}

function removeEarlier({ rules }: Protocol): Move {
  return does('reads its record, drops earlier staging', (draft, me) => {
    me.snapshot = draft.stored.snapshot;
    me.at = 'told';
    const earlier = (snapshot: number) => rules.has('staging by snapshot') && snapshot < me.snapshot;
    endSessions(draft, me, (session) => writesStaging(session) && earlier(session.snapshot));
    draft.stored.staging = draft.stored.staging.filter(({ snapshot }) => !earlier(snapshot));
  });
}

function makeStaging(protocol: Protocol, { stored }: State, me: Session): Move {
  if (protocol.rules.has('prepare checks the state')) {
    if (stored.snapshot !== me.snapshot) return does('finds its table started over: RunClosed', fails);
    if (stored.state === 'publishing' || stored.state === 'published') return staged('finds its table past loading');
    if (stored.state !== 'open') return does('finds its table closed: RunClosed', fails);
  }
  if (loadedInto(protocol, stored, me.snapshot) !== undefined) return staged('finds its staging');
  if (protocol.rules.has('no new staging under receipts') && stored.receipts.some((receipt) => receipt !== undefined))
    return does('finds receipts without staging: TargetChanged', fails);
  return commits('makes staging', (draft, session) => {
    const snapshot = stagingNumber(protocol, session.snapshot);
    draft.stored.staging.push({ snapshot, rows: [0, 0, 0] });
    session.at = 'staged';
  });
}

function staged(what: string): Move {
  return does(what, (_, me) => (me.at = 'staged'));
}

function readPlan({ rules }: Protocol, { stored }: State): Move {
  if (stored.plan !== '' && rules.has('stored plan')) return does('finds its plan', prepared);
  return does('plans from the statistics of the day', (draft, me) => {
    me.plan = draft.statistics;
    me.at = 'planning';
  });
}

function putPlan({ rules }: Protocol, { stored }: State, me: Session): Move {
  if (stored.plan !== '' && rules.has('stored plan')) return does('finds the plan of another', prepared);
  if (stored.snapshot !== me.snapshot || stored.state !== 'open')
    return does('finds its table closed or started over: RunClosed', fails);
  return commits(`stores plan ${me.plan}`, (draft, session) => {
    draft.stored.plan = session.plan;
    prepared(draft, session);
  });
}

/** What has a receipt already is not copied again. */
function prepared(draft: State, me: Session): void {
  answers(draft, me, (job) => {
    if (job.step !== 'prepare') return;
    job.step = 'copy';
    job.snapshot = me.snapshot;
    for (const partition of PARTITIONS) {
      job.done[partition] = draft.stored.receipts[partition] !== undefined;
      job.skipped[partition] = draft.stored.receipts[partition]?.skipped === true;
    }
  });
}

/** `openRun`: of a run that is there it opens again what is not closed for good, and resuming, starts snapshots over. */
export function openMoves(protocol: Protocol, state: State, me: Session): Move[] {
  if (state.stored.forgotten) return [does('finds the run cleaned away: ResumeRefused', refused)];
  if (!mayChangeRow(protocol, state, me)) return [];
  return [
    commits(me.does === 'open' ? 'opens the run again' : 'takes the run over', (draft, session) => {
      endSessions(draft, session, swaps);
      reopen(draft.stored);
      if (session.does === 'resume' && protocol.underSnapshot) renew(draft, draft.stored.snapshot, [0, 1]);
      answers(draft, session, (job) => {
        job.step = 'prepare';
        job.snapshot = draft.stored.snapshot;
      });
    }),
  ];
}

function reopen(stored: Stored): void {
  if (stored.state === 'suspended' || stored.state === 'publishing') stored.state = 'open';
}

/** The row first, so that the receipts of those who hold it are there to be deleted. */
export function startOverMoves(protocol: Protocol, state: State, me: Session): Move[] {
  if (!protocol.rules.has('start over updates first') && me.at === 'begun') return [deleteFirst()];
  if (!mayChangeRow(protocol, state, me)) return [];
  return [
    commits('starts the table over', (draft, session) => {
      endSessions(draft, session, swaps);
      const seen =
        session.at === 'begun' ? [0, 1] : PARTITIONS.filter((each) => session.deletes.includes(String(each)));
      renew(draft, session.snapshot, seen);
      answers(draft, session, (job) => (job.step = 'prepare'));
    }),
  ];
}

function deleteFirst(): Move {
  return does('deletes the receipts it sees', (draft, me) => {
    me.deletes = PARTITIONS.filter((each) => draft.stored.receipts[each] !== undefined).join('');
    me.at = 'deleted';
  });
}

function renew({ stored }: State, last: number, deleted: readonly number[]): void {
  if ((stored.state !== 'open' && stored.state !== 'publishing') || stored.snapshot > last) return;
  stored.state = 'open';
  stored.snapshot = last + 1;
  stored.plan = '';
  for (const partition of deleted) stored.receipts[partition] = undefined;
}

/** `closeRun`, and for a discard the removal of staging. */
export function closeMoves(protocol: Protocol, state: State, me: Session): Move[] {
  const [first, second] = protocol.rules.has('close before ending') ? ['close', 'drop'] : ['drop', 'close'];
  const now = me.to === 'suspended' || me.at === (first === 'close' ? 'begun' : 'half') ? 'close' : 'drop';
  const last = me.to === 'suspended' || now === second;
  if (now === 'drop') return [dropStaging(protocol, last)];
  return mayChangeRow(protocol, state, me) ? [close(last)] : [];
}

function close(last: boolean): Move {
  return commits('closes the run', (draft, me) => {
    endSessions(draft, me, swaps);
    const { stored } = draft;
    const open = stored.state === 'open' || stored.state === 'publishing';
    if (open || (stored.state === 'suspended' && me.to === 'discarded'))
      stored.state = me.to as 'suspended' | 'discarded';
    goOn(draft, me, last);
  });
}

function dropStaging({ rules }: Protocol, last: boolean): Move {
  return commits('ends who writes to staging, drops it', (draft, me) => {
    const { stored, job } = draft;
    if (stored.state === 'discarded' || !rules.has('close before ending')) {
      endSessions(draft, me, writesStaging);
      stored.staging = [];
    }
    if (job.cleans && (stored.state === 'discarded' || stored.state === 'published')) forget(stored);
    goOn(draft, me, last);
  });
}

function forget(stored: Stored): void {
  stored.forgotten = true;
  stored.receipts = [undefined, undefined];
}

function goOn(draft: State, me: Session, last: boolean): void {
  if (!last) {
    me.at = 'half';
    return;
  }
  const { stored } = draft;
  answers(draft, me, (job) => {
    job.step = 'closed';
    job.swept = stored.state === 'discarded' && me.to === 'discarded';
  });
}

function refused(draft: State, me: Session): void {
  answers(draft, me, (job) => (job.step = 'failed'));
}
