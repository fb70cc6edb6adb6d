import { answers, commits, does, endSessions, fails, isAnother, loadedInto, mayChangeRow } from './moves.js';
import { remove, swaps, writesStaging, type Move, type Protocol } from './moves.js';
import { copyOf, PARTITIONS, type Session, type State } from './state.js';

/** Publishing (destination/publish.ts, readers.ts), and the reader that must not see half of it. */
export function publishMoves(protocol: Protocol, state: State, me: Session): Move[] {
  const move = STEPS[me.at]!(protocol, state, me);
  return move === undefined ? [] : [move];
}

type Next = (protocol: Protocol, state: State, me: Session) => Move | undefined;

const STEPS: Readonly<Record<string, Next>> = {
  begun: readRecord,
  told: fence,
  fenced: wait,
  waited: beginSwap,
  swapping: swap,
};

function readRecord(): Move {
  return does('reads its record', (draft, me) => {
    me.snapshot = draft.stored.snapshot;
    me.at = 'told';
  });
}

/** One transaction: the lock of publishing, the row FOR UPDATE, the receipts, the state. */
function fence(protocol: Protocol, state: State, me: Session): Move | undefined {
  if (!mayChangeRow(protocol, state, me)) return undefined;
  const { stored } = state;
  const ending = (move: Move): Move => ({ ...move, change: endingSwaps(move) });
  if (stored.snapshot !== me.snapshot) return ending(does('finds its table started over: RunClosed', fails));
  if (stored.state === 'published') return ending(does('finds it published', published));
  if (stored.state !== 'open' && stored.state !== 'publishing')
    return ending(does('finds its table closed: RunClosed', fails));
  if (stored.plan === '') return ending(does('finds no plan: PlanChanged', fails));
  const missing = missingOf(protocol, state);
  return ending(missing.length > 0 ? handBack(missing) : closeTable());
}

function endingSwaps(move: Move): Move['change'] {
  return (draft, me) => {
    endSessions(draft, me, swaps);
    move.change(draft, me);
  };
}

/** Without a receipt of its own, what history calls skipped has to be believed. */
function missingOf({ rules }: Protocol, { stored, job }: State): number[] {
  if (!rules.has('re-read at publish')) return [];
  const believed = (partition: number) => job.skipped[partition] === true && !rules.has('skip writes a receipt');
  return PARTITIONS.filter((partition) => stored.receipts[partition] === undefined && !believed(partition));
}

function handBack(missing: readonly number[]): Move {
  return commits(`finds no receipt of ${missing.map((partition) => `p${partition}`).join(', ')}`, (draft, me) => {
    draft.stored.state = 'open';
    answers(draft, me, (job) => {
      if (job.step !== 'publish') return;
      job.step = 'copy';
      for (const partition of missing) job.done[partition] = job.skipped[partition] = false;
    });
  });
}

function closeTable(): Move {
  return commits('counts the receipts, sets `publishing`', (draft, me) => {
    if (draft.stored.state === 'open' && draft.reader) draft.reader.older = true;
    draft.stored.state = 'publishing';
    me.at = 'fenced';
  });
}

/** Ends who still has staging open; then waits for transactions that began before the table was closed. */
function wait({ rules, visible }: Protocol, { reader }: State): Move | undefined {
  if (!visible && rules.has('wait for readers') && reader?.older === true) return undefined;
  return does('has ended writers and waited for readers', (draft, me) => {
    if (!visible) endSessions(draft, me, (session) => writesStaging(session) && session.snapshot === me.snapshot);
    me.at = 'waited';
  });
}

function beginSwap(protocol: Protocol, state: State, me: Session): Move | undefined {
  if (!mayChangeRow(protocol, state, me)) return undefined;
  const { stored } = state;
  if (protocol.rules.has('state at the swap')) {
    if (stored.snapshot !== me.snapshot) return does('finds its table started over: RunClosed', fails);
    if (stored.state === 'published') return does('finds it published', published);
    if (stored.state === 'open') return does('finds it opened again: Conflict', remove);
    if (stored.state !== 'publishing') return does('finds its table closed: RunClosed', fails);
  }
  return lockTables(protocol, state, me);
}

function lockTables(protocol: Protocol, state: State, me: Session): Move | undefined {
  if (loadedInto(protocol, state.stored, me.snapshot) === undefined) return does('finds no staging', fails);
  const writes = (session: Session) => writesStaging(session) && session.snapshot === me.snapshot;
  if (!protocol.visible && isAnother(state, me, writes)) return undefined;
  return does('locks the row, staging and target', (draft, session) => {
    endSessions(draft, session, swaps);
    session.at = 'swapping';
  });
}

function swap(protocol: Protocol, { stored }: State): Move {
  return commits('COMMIT of the swap', (draft, me) => {
    if (stored.state !== 'publishing') draft.broken = `a table that is ${stored.state} was published`;
    if (!protocol.visible) moveStaging(protocol, draft, me);
    draft.stored.state = 'published';
    published(draft, me);
  });
}

function moveStaging(protocol: Protocol, { stored }: State, { snapshot }: Session): void {
  const staging = loadedInto(protocol, stored, snapshot)!;
  stored.target = staging;
  stored.staging = stored.staging.filter((each) => each !== staging);
}

function published(draft: State, me: Session): void {
  answers(draft, me, (job) => {
    if (job.step === 'publish') job.step = 'succeeded';
  });
}

/** The rows that its snapshot shows it, should what is staging now become the target. */
export function beginReading(protocol: Protocol, draft: State): void {
  const staging = loadedInto(protocol, draft.stored, draft.stored.snapshot);
  draft.reader = { sees: staging ? copyOf(staging) : { snapshot: 0, rows: [0, 0, 0] }, older: false };
}

/** Catalogs are read as they are now, and rows as they were when the transaction began. */
export function read(draft: State): void {
  const { target } = draft.stored;
  const { sees } = draft.reader!;
  draft.reader = undefined;
  if (target === undefined) return;
  const rows = sees.snapshot === target.snapshot ? sees.rows : [0, 0, 0];
  if (rows.join() !== target.rows.join()) draft.broken = 'a reader saw a part of the table';
}
