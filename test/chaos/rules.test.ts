import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Table from 'cli-table3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isClean, type Verdict } from './check.js';
import * as scenarios from './rules/scenarios.js';
import type { Played, Scenario } from './rules/scenarios.js';
import { NODE_ARGS, without } from './rules/rules.js';
import { Stack } from './stack.js';

/** A scenario that is clean as long as this rule is there. */
interface Case {
  readonly rule: string;
  readonly scenario: Scenario;
  /** Another rule that stands in front of it and is taken out in both directions. */
  readonly also?: string;
  /** What the checks must report without the rule. */
  readonly finds: (played: Played) => void;
}

const {
  commitAnswerLost,
  commitsLost,
  cutInCopy,
  heldByZombie,
  oldReader,
  planChanges,
  planChangesAfterCommit,
  zombieAfterClean,
} = scenarios;

let stack: Stack;
beforeAll(async () => {
  stack = await Stack.start({ dir: join(tmpdir(), `longhaul-rules-${process.pid}`), workers: 0, nodeArgs: NODE_ARGS });
});
afterAll(async () => {
  await stack?.stop();
});

const lines: string[][] = [];

async function playWithout(scenario: Scenario, ...rules: string[]): Promise<Played> {
  const started = Date.now();
  await Promise.all(stack.alive.map((worker) => worker.kill()));
  const env = rules.length > 0 ? without(...rules) : {};
  await stack.startWorker(env);
  const played = await scenarios.play(stack, scenario, env);
  lines.push([
    rules.join(' + ') || 'nothing',
    scenario.about,
    told(played.verdict),
    String((Date.now() - started) / 1000),
  ]);
  console.log(lines.at(-1)!.join(' | '));
  return played;
}

function told(verdict: Verdict): string {
  return isClean(verdict) ? 'clean' : JSON.stringify(verdict);
}

for (const [scenario, ...rules] of [
  [commitAnswerLost, 'receipt-conflict'],
  [cutInCopy, 'receipt-in-transaction'],
  [heldByZombie, 'partition-lock'],
  [planChanges, 'stored-plan'],
  [planChangesAfterCommit, 'stored-plan', 'predicate-hash'],
  [zombieAfterClean, 'run-state'],
  [commitsLost, 'reread-at-publish'],
  [oldReader, 'wait-for-readers'],
] as [Scenario, ...string[]][]) {
  test(`with ${rules.join()}`, async () => {
    const p = await playWithout(scenario);
    expect(told(p.verdict)).toBe('clean');
  });
  test(`without ${rules.join()}`, async () => {
    const p = await playWithout(scenario, ...rules);
    expect(told(p.verdict)).not.toBe('clean');
  });
}
