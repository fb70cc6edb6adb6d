import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isClean } from './check.js';
import type { Verdict } from './look.js';
import type { FaultKind } from './kind.js';
import { Random } from './random.js';
import { randomShape, Scene, type Shape } from './scene.js';
import { Stack, type StackOptions } from './stack.js';

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

/** Milliseconds for a kind whose time is up to end what it has in hand. */
const ENDS_WITHIN = 70_000;

const quiet = () => undefined;

/** Runs the job of this number under its kind of fault. Throws only when the harness itself can't go on. */
export async function runJob(stack: Stack, plan: Plan, number: number): Promise<Outcome> {
  const started = Date.now();
  const kind = plan.kinds[number % plan.kinds.length]!;
  const random = new Random(plan.seed).fork(number);
  const shape = randomShape(
    random,
    { ...inLake(kind, random.fork(3)), ...kind.shape },
    kind.repeats ? plan.strikes : 1,
  );
  await using scene = await Scene.begin(stack, random, shape);
  const trouble = await strike(kind, scene);
  const found = await scene.finish().catch(notJudged);
  const verdict = { ...found, problems: [...trouble, ...found.problems] };
  if (!isClean(verdict)) await endJob(scene);
  const seconds = (Date.now() - started) / 1000;
  return { kind: kind.name, number, faults: scene.faults, verdict, seconds, recoveries: scene.recoveries };
}

/** Chosen apart, so that what else is chosen stays as it is. */
function inLake({ into }: FaultKind, random: Random): Partial<Shape> {
  return into === undefined ? {} : { destination: random.pick(into), filled: random.chance(0.5) };
}

/** Answers with what kept the kind from what it does, or from putting things right again. */
async function strike(kind: FaultKind, scene: Scene): Promise<string[]> {
  const problems: string[] = [];
  const told = (error: unknown) => void problems.push(`${kind.name}: ${inWords(error)}`);
  const within = STRIKES_WITHIN * scene.shape.strikes;
  const timeout = sleep(within, true, { ref: false });
  const running = kind.run(scene);
  const late = await Promise.race([running.then(() => false), timeout]).catch(told);
  scene.over = true;
  if (late === true) {
    problems.push(`${kind.name} has not struck in ${within / 1000} s`);
    // What it has in hand: afterwards it would strike the next scene.
    await Promise.race([running.catch(quiet), sleep(ENDS_WITHIN, undefined, { ref: false })]);
  }
  await kind.cleanUp?.(scene).catch(told);
  await scene.stack.restore().catch(told);
  return problems;
}

/** Nobody could look, so nothing is known of its rows. */
function notJudged(error: unknown): Verdict {
  const nothing = { missing: 0, duplicated: 0, partialReads: [], stagingLeft: [], sessionsLeft: [] };
  return { ...nothing, finished: false, problems: [`the harness could not look: ${inWords(error)}`] };
}

function inWords(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
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
}

/**
 * Jobs one after the other, on so many stacks at the same time; every kind comes once before any comes again. `next`: the number of
 * the next job; undefined: no more. Answers with the pids of processes that outlive their stacks.
 */
export async function runLanes(
  plan: Plan,
  lanes: number,
  options: Omit<StackOptions, 'dir' | 'lakes'>,
  next: () => number | undefined,
  tell: (outcome: Outcome) => void,
): Promise<number[]> {
  const left = await Promise.all(
    Array.from({ length: lanes }, async (_, lane) => {
      const dir = join(tmpdir(), `longhaul-chaos-${process.pid}-${lane + 1}`);
      const lakes = plan.kinds.some(({ into }) => into !== undefined);
      const stack = await Stack.start({ ...options, dir, lakes });
      try {
        for (let number = next(); number !== undefined; number = next()) tell(await runJob(stack, plan, number));
      } catch (error) {
        await stack.stop();
        throw error;
      }
      return stack.stop();
    }),
  );
  return left.flat();
}
