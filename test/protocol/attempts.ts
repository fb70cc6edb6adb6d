import { answers, commits, does, endSessions, fails, holdsPartition, isAnother, loadedInto, swaps } from './moves.js';
import type { Move, Protocol } from './moves.js';
import { CUT, type Receipt, type Session, type State } from './state.js';

/** One attempt at a partition (destination/attempt.ts). Steps in between that nobody else can see or hinder are one. */
export function copyMoves(protocol: Protocol, state: State, me: Session): Move[] {
  const move = STEPS[me.at]!(protocol, state, me);
  return move === undefined ? [] : [move];
}

type Next = (protocol: Protocol, state: State, me: Session) => Move | undefined;

const STEPS: Readonly<Record<string, Next>> = {
  begun: readRecord,
  told: readPartition,
  planned: claim,
  claimed: load,
  loaded: check,
  checked: commit,
  'rows committed': writeReceipt,
};

/** Two statements; nothing that could come between them changes what they read, but a start over. */
function readRecord(protocol: Protocol, state: State): Move {
  const partition = readPartition(protocol, state);
  return does(protocol.underSnapshot ? 'reads its record' : partition.what, (draft, me) => {
    me.snapshot = draft.stored.snapshot;
    me.at = 'told';
    if (!protocol.underSnapshot) partition.change(draft, me);
  });
}

function readPartition(_: Protocol, { stored }: State): Move {
  if (stored.plan === '' || stored.forgotten) return does('finds no plan: PlanChanged', fails);
  return does('reads its partition', (draft, me) => {
    me.plan = draft.stored.plan;
    me.at = 'planned';
  });
}

/** The advisory lock and the INSERT of the receipt, which waits for another that is not committed yet. */
function claim({ rules }: Protocol, state: State, me: Session): Move | undefined {
  const held = isAnother(state, me, holdsPartition(me.partition));
  if (held && !rules.has('partition lock')) return undefined;
  const receipt = state.stored.receipts[me.partition];
  const taken = receipt !== undefined && rules.has('receipt conflict');
  const outcome = taken
    ? foundReceipt(receipt, { fits: receipt.plan === me.plan, compares: rules.has('predicate hash') })
    : does('locks its partition, claims its receipt', (_, session) => (session.at = 'claimed'));
  return { ...outcome, change: ending(me, outcome) };
}

function ending({ partition }: Session, move: Move): Move['change'] {
  return (draft, me) => {
    endSessions(draft, me, holdsPartition(partition));
    move.change(draft, me);
  };
}

function foundReceipt({ skipped }: Receipt, { fits, compares }: { fits: boolean; compares: boolean }): Move {
  if (!fits && compares) return does('finds a receipt of another predicate: PlanChanged', fails);
  return does('finds its receipt', (draft, me) => {
    if (!fits && me.live) draft.broken = 'a receipt answered for another predicate';
    answers(draft, me, toldOf(me.partition, skipped));
  });
}

function toldOf(partition: number, skipped: boolean): (job: State['job']) => void {
  return (job) => {
    job.done[partition] = true;
    job.skipped[partition] = skipped;
  };
}

function load(protocol: Protocol, { stored }: State, { snapshot }: Session): Move {
  if (loadedInto(protocol, stored, snapshot) === undefined) return does('finds no staging', fails);
  return does('loads its rows', (_, me) => (me.at = 'loaded'));
}

function check(protocol: Protocol, state: State, me: Session): Move | undefined {
  if (!protocol.rules.has('state check')) return commit(protocol);
  if (isAnother(state, me, swaps)) return undefined;
  const { stored } = state;
  const own = stored.snapshot === me.snapshot || !protocol.rules.has('check compares the snapshot');
  if (!own || stored.state !== 'open') return does('finds its table closed or started over: RunClosed', fails);
  return does('finds its table open, FOR SHARE', (_, session) => (session.at = 'checked'));
}

function commit(protocol: Protocol): Move {
  if (!protocol.rules.has('one transaction')) {
    return commits('COMMIT of its rows', (draft, me) => {
      addRows(protocol, draft, me);
      me.at = 'rows committed';
    });
  }
  return commits('COMMIT', (draft, me) => {
    addRows(protocol, draft, me);
    addReceipt(draft, me);
  });
}

function writeReceipt(): Move {
  return commits('COMMIT of its receipt', addReceipt);
}

/** Three times is as bad as more. */
const MANY = 3;

function addRows(protocol: Protocol, draft: State, me: Session): void {
  const { stored } = draft;
  if (stored.state !== 'open')
    draft.broken = `partition ${me.partition} was committed to a table that is ${stored.state}`;
  const relation = loadedInto(protocol, stored, me.snapshot);
  for (const row of CUT[me.plan as 'A' | 'B'][me.partition]!)
    relation!.rows[row] = Math.min(relation!.rows[row]! + 1, MANY);
}

function addReceipt(draft: State, me: Session): void {
  draft.stored.receipts[me.partition] = { plan: me.plan as 'A' | 'B', skipped: false };
  answers(draft, me, toldOf(me.partition, false));
}
