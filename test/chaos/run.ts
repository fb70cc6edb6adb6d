import { setTimeout as sleep } from 'node:timers/promises';
import { isClean } from './check.js';
import type { Verdict } from './look.js';
import type { FaultKind } from './kind.js';
import { Random } from './random.js';
import { randomShape, Scene } from './scene.js';
import type { Stack } from './stack.js';

/** One job of the harness: what struck it, and what it has left. */
export interface Outcome {
  readonly kind: string;
  /** Makes the same choices again: `--seed` of the run and this number. */
  readonly number: number;
  readonly faults: number;
  readonly verdict: Verdict;
  readonly seconds: number;
  /** Milliseconds from a worker's death until each partition that it had was begun again. */
  readonly recoveries: readonly number[];
}

/** Milliseconds that a kind may take until its job goes on by itself. */
const STRIKES_WITHIN = 180_000;

/** Runs the job of this number under its kind of fault. Throws only when the harness itself can't go on. */
export async function runJob(stack: Stack, plan: Plan, number: number): Promise<Outcome> {
  const started = Date.now();
  const kind = plan.kinds[number % plan.kinds.length]!;
  const random = new Random(plan.seed).fork(number);
  const shape = randomShape(random, kind.shape, kind.repeats ? plan.strikes : 1);
  await using scene = await Scene.begin(stack, random, shape);
  const trouble = await strike(kind, scene);
  const found = await scene.finish();
  const verdict = trouble === undefined ? found : { ...found, problems: [trouble, ...found.problems] };
  if (!isClean(verdict)) await endJob(scene);
  const seconds = (Date.now() - started) / 1000;
  return { kind: kind.name, number, faults: scene.faults, verdict, seconds, recoveries: scene.recoveries };
}

/** Answers with what kept the kind from what it does. */
async function strike(kind: FaultKind, scene: Scene): Promise<string | undefined> {
  try {
    const within = STRIKES_WITHIN * scene.shape.strikes;
    const timeout = sleep(within, true, { ref: false });
    const late = await Promise.race([kind.run(scene).then(() => false), timeout]);
    return late ? `${kind.name} has not struck in ${within / 1000} s` : undefined;
  } catch (error) {
    return `${kind.name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
  } finally {
    await kind.cleanUp?.(scene);
    await scene.stack.restore();
  }
}

/** So that a job that went wrong is not in the way of the next. */
export async function endJob(scene: Scene): Promise<void> {
  try {
    await scene.handle.terminate('the chaos harness gives this job up');
  } catch {
    // It has ended, or was never started.
  }
}

export interface Plan {
  readonly kinds: readonly FaultKind[];
  readonly seed: number;
  /** Of kinds that repeat: so many times as many faults a job, on longer jobs. */
  readonly strikes: number;
  /** Ends when so many faults have struck, */
  readonly faults: number;
  /** or at this time, milliseconds since the epoch. */
  readonly until: number;
}

/**
 * Jobs one after the other on one stack, their kinds in turn: every kind comes once before any comes again. `lane` of `lanes`
 * that run at the same time take turns, so that the same numbers are run whichever is faster.
 */
export async function runLane(
  stack: Stack,
  plan: Plan,
  next: () => number | undefined,
  tell: (outcome: Outcome) => void,
): Promise<void> {
  for (let number = next(); number !== undefined; number = next()) {
    tell(await runJob(stack, plan, number));
  }
}
