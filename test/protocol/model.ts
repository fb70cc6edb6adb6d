import { copyMoves } from './attempts.js';
import type { Model, Step } from './explore.js';
import { keyOf, storedKey } from './key.js';
import { promised, remove, type Move, type Protocol } from './moves.js';
import { publishMoves } from './publishing.js';
import { Rules, type Rule } from './rules.js';
import { CUT, draftOf, initialState, PARTITIONS, ROWS } from './state.js';
import type { Chance, Doing, JobStep, Session, State } from './state.js';
import { closeMoves, openMoves, prepareMoves, startOverMoves } from './tables.js';
import { decide, events, fates, type Fate } from './temporal.js';

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
  /** Walk past every other violation. */
  readonly only?: string;
}

export function modelOf(
  instance: Instance,
  { broken = [], outside = false, only = '' }: ModelOptions = {},
): Model<State> {
  const { chances, visible = false, underSnapshot = false } = instance;
  const protocol: Protocol = { rules: new Rules(broken), visible, underSnapshot };
  const initial = initialState(chances, { visible });
  decide(initial);
  return {
    initial,
    steps: (state) => stepsOf(protocol, state),
    key: keyOf,
    violation: (state) => {
      const found = violationOf(protocol, state, outside);
      return found?.includes(only) === true ? found : undefined;
    },
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

function stepsOf(protocol: Protocol, state: State): Step<State>[] {
  const steps: Step<State>[] = [];
  for (const event of events(protocol, state)) {
    if (mayHappen(state, event.chance)) steps.push(step(state, -1, event, event.what));
  }
  for (const [index, me] of state.sessions.entries()) sessionSteps(protocol, state, me, index, steps);
  return steps;
}

function sessionSteps(protocol: Protocol, state: State, me: Session, index: number, steps: Step<State>[]): void {
  const name = nameOf(me);
  const add = (fate: Pick<Fate, 'chance' | 'sure' | 'change'>, what: string) => {
    if (mayHappen(state, fate.chance)) steps.push(step(state, index, fate, name + what));
  };
  for (const move of MOVES[me.does](protocol, state, me)) {
    add({ sure: me.live, change: move.change }, `: ${move.what}`);
    if (me.live && move.commits) add(losing(move), `: ${move.what}, whose answer is lost`);
  }
  for (const fate of fates(protocol, state, me)) add(fate, ` ${fate.what}`);
}

function mayHappen({ left }: State, chance: Chance | undefined): boolean {
  return chance === undefined || left[chance] > 0;
}

/** It commits, and nobody hears of it. */
function losing(move: Move): Pick<Fate, 'chance' | 'change'> {
  const change: Move['change'] = (draft, me) => {
    me.live = false;
    move.change(draft, me);
    remove(draft, me);
  };
  return { chance: 'lost answers', change };
}

/** A step of the session of that index; -1: of none. */
function step(state: State, index: number, taken: Pick<Fate, 'chance' | 'sure' | 'change'>, name: string): Step<State> {
  const { chance, sure = false } = taken;
  const to = draftOf(state, index);
  if (chance !== undefined) to.left = { ...to.left, [chance]: to.left[chance] - 1 };
  taken.change(to, to.sessions[index]!);
  decide(to);
  if (state.standby !== undefined) followStandby(state, to);
  return { name, to, sure };
}

/** One commit behind, as long as it may still take over. */
function followStandby(before: State, draft: State): void {
  if (draft.left.failovers === 0) draft.standby = undefined;
  else if (storedKey(draft.stored) !== storedKey(before.stored)) draft.standby = before.stored;
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

function targetViolation({ visible, rules }: Protocol, { stored, job }: State): string | undefined {
  const { target, state, receipts, plan, forgotten } = stored;
  if (target === undefined || plan === '') return undefined;
  if (target.rows.some((times) => times > 1)) return NEVER_TWICE;
  if (forgotten || (visible && state !== 'published')) return undefined;
  const believed = (partition: number) => !rules.has('skip writes a receipt') && job.skipped[partition] === true;
  const isSkipped = (partition: number) => receipts[partition]?.skipped === true || believed(partition);
  const skipped = PARTITIONS.filter(isSkipped).flatMap((each) => CUT[plan][each]!);
  const lost = ROWS.some((row) => target.rows[row] === 0 && !skipped.includes(row));
  return lost ? 'a row is missing in the published target' : undefined;
}

function endViolation({ stored, job }: State): string | undefined {
  if (job.swept && stored.state === 'discarded' && stored.staging.length > 0) return 'a discarded run has staging';
  if (job.step !== 'succeeded') return undefined;
  if (stored.state !== 'published') return 'the job succeeded, and its table is not published';
  const unsaid = PARTITIONS.some((each) => stored.receipts[each]?.skipped === true && !job.skipped[each]);
  if (unsaid) return 'a job succeeded as complete, and a partition of it is skipped';
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
