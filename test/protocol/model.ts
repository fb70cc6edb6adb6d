import { copyMoves } from './attempts.js';
import type { Model, Step } from './explore.js';
import { keyOf, storedKey } from './key.js';
import { promised, remove, type Move, type Protocol } from './moves.js';
import { publishMoves } from './publishing.js';
import { Rules, type Rule } from './rules.js';
import { CUT, draftOf, initialState, PARTITIONS, ROWS } from './state.js';
import type { Chance, Doing, JobStep, Session, State } from './state.js';
import { closeMoves, openMoves, prepareMoves, startOverMoves } from './tables.js';
import { decide, events, fates, type Event, type Fate } from './temporal.js';

/** How much of everything there is to go wrong: all interleavings of it are walked. */
export interface Instance {
  readonly name: string;
  readonly chances: Partial<Record<Chance, number>>;
  readonly visible?: boolean;
  readonly underSnapshot?: boolean;
}

export interface ModelOptions {
  readonly broken?: readonly Rule[];
  /** Look only at what people see, and not whether rows and receipts agree before: so that a trace shows what comes of it. */
  readonly outside?: boolean;
}

export function modelOf(instance: Instance, { broken = [], outside = false }: ModelOptions = {}): Model<State> {
  const { chances, visible = false, underSnapshot = false } = instance;
  const protocol: Protocol = { rules: new Rules(broken), visible, underSnapshot };
  const initial = initialState(chances, { visible });
  decide(initial);
  return {
    initial,
    steps: (state) => [...sessionSteps(protocol, state), ...eventSteps(protocol, state)],
    key: keyOf,
    violation: (state) => violationOf(protocol, state, outside),
    isEnd: ({ job }) => ENDS.has(job.step),
  };
}

const ENDS: ReadonlySet<JobStep> = new Set(['succeeded', 'closed', 'failed', 'terminated']);

const MOVES: Readonly<Record<Doing, (protocol: Protocol, state: State, me: Session) => Move[]>> = {
  copy: copyMoves,
  prepare: prepareMoves,
  publish: publishMoves,
  close: closeMoves,
  open: openMoves,
  resume: openMoves,
  'start over': startOverMoves,
};

function sessionSteps(protocol: Protocol, state: State): Step<State>[] {
  return state.sessions.flatMap((me, index) => {
    const moves = MOVES[me.does](protocol, state, me);
    const own = moves.map((move): Fate => ({ ...move, what: `: ${move.what}`, sure: me.live }));
    const lost = me.live ? moves.filter((move) => move.commits).map(losing) : [];
    const befalls = fates(state, me).map((fate): Fate => ({ ...fate, what: ` ${fate.what}` }));
    return [...own, ...lost, ...befalls].flatMap(({ change, ...fate }) => {
      const what = `${nameOf(me)}${fate.what}`;
      return eventStep(state, { ...fate, what, change: (draft) => change(draft, draft.sessions[index]!) });
    });
  });
}

/** It commits, and nobody hears of it. */
function losing(move: Move): Fate {
  const change: Move['change'] = (draft, me) => {
    me.live = false;
    move.change(draft, me);
    remove(draft, me);
  };
  return { what: `: ${move.what}, whose answer is lost`, chance: 'lost answers', change };
}

function eventSteps(protocol: Protocol, state: State): Step<State>[] {
  return events(protocol, state).flatMap((event) => eventStep(state, event));
}

function eventStep(state: State, { chance, what, sure = false, change }: Event): Step<State>[] {
  if (chance !== undefined && state.left[chance] === 0) return [];
  const made = step(state, what, sure, (draft) => {
    if (chance !== undefined) draft.left = { ...draft.left, [chance]: draft.left[chance] - 1 };
    change(draft);
  });
  return [made];
}

function step(state: State, name: string, sure: boolean, change: (draft: State) => void): Step<State> {
  const to = draftOf(state);
  change(to);
  decide(to);
  const followed = state.standby !== undefined && to.left.failovers > 0;
  if (!followed) to.standby = undefined;
  else if (storedKey(to.stored) !== storedKey(state.stored)) to.standby = state.stored;
  return { name, to, sure };
}

function nameOf({ does, live, partition }: Session): string {
  const what = does === 'copy' ? `attempt at p${partition}` : does;
  return live ? what : `zombie ${what}`;
}

const NEVER_TWICE = 'a row is in the target twice';

function violationOf(protocol: Protocol, state: State, outside: boolean): string | undefined {
  if (state.broken !== '') return state.broken;
  return (
    targetViolation(protocol, state) ?? endViolation(state) ?? (outside ? undefined : receiptViolation(protocol, state))
  );
}

function targetViolation({ visible }: Protocol, { stored }: State): string | undefined {
  const { target, state, receipts, plan, forgotten } = stored;
  if (target === undefined || plan === '') return undefined;
  if (target.rows.some((times) => times > 1)) return NEVER_TWICE;
  if (forgotten || (visible && state !== 'published')) return undefined;
  const skipped = PARTITIONS.filter((partition) => receipts[partition]?.skipped === true).flatMap(
    (each) => CUT[plan][each]!,
  );
  const lost = ROWS.some((row) => target.rows[row] === 0 && !skipped.includes(row));
  return lost ? 'a row is missing in the published target' : undefined;
}

function endViolation({ stored, job }: State): string | undefined {
  if (job.swept && stored.state === 'discarded' && stored.staging.length > 0) return 'a discarded run has staging';
  if (job.step !== 'succeeded') return undefined;
  if (stored.state !== 'published') return 'the job succeeded, and its table is not published';
  const skipped = PARTITIONS.filter((each) => job.skipped[each]).flatMap(
    (each) => CUT[stored.plan as 'A' | 'B'][each]!,
  );
  const there = skipped.some((row) => stored.target!.rows[row]! > 0);
  return there ? 'rows of a partition that was reported as skipped are in the target' : undefined;
}

/** The invariant: rows are there if and only if their receipt is. */
function receiptViolation({ visible }: Protocol, { stored }: State): string | undefined {
  const { state, staging, snapshot, forgotten, target } = stored;
  if (forgotten || !(visible || LOADED.has(state))) return undefined;
  const loaded = visible ? target : staging.find((each) => each.snapshot === snapshot);
  const rows = loaded?.rows ?? [0, 0, 0];
  return rows.join() === promised(stored).join() ? undefined : 'rows and receipts differ';
}

const LOADED: ReadonlySet<string> = new Set(['open', 'publishing', 'suspended']);
