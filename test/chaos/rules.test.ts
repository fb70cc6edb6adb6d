import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Table from 'cli-table3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isClean } from './check.js';
import { NODE_ARGS, RULES, without } from './rules/rules.js';
import * as scenarios from './rules/scenarios.js';
import type { Played, Scenario } from './rules/scenarios.js';
import { Stack, type WorkerProcess } from './stack.js';

/** What the checks of the harness say of a scenario. */
type Finding = 'clean' | 'missing' | 'duplicated' | 'partial reads' | 'not finished' | 'refused';

/** What one rule does in one scenario. */
interface Case {
  readonly rule: string;
  readonly scenario: Scenario;
  /** Rules that would stand before this one: taken out in both directions. */
  readonly also?: readonly string[];
  readonly withRule: Finding;
  readonly withoutRule: Finding;
}

/** The predicate's hash has nothing to find as long as a plan never changes: first it is made to change, then the hash is taken out. */
const CASES: readonly Case[] = [
  { rule: 'receipt-conflict', scenario: scenarios.commitAnswerLost, withRule: 'clean', withoutRule: 'duplicated' },
  { rule: 'receipt-in-transaction', scenario: scenarios.cutInCopy, withRule: 'clean', withoutRule: 'missing' },
  { rule: 'partition-lock', scenario: scenarios.heldByZombie, withRule: 'clean', withoutRule: 'not finished' },
  { rule: 'stored-plan', scenario: scenarios.planChanges, withRule: 'clean', withoutRule: 'missing' },
  { rule: 'stored-plan', scenario: scenarios.planChangesAfterCommit, withRule: 'clean', withoutRule: 'refused' },
  {
    rule: 'predicate-hash',
    also: ['stored-plan'],
    scenario: scenarios.planChangesAfterCommit,
    withRule: 'refused',
    withoutRule: 'missing',
  },
  { rule: 'run-state', scenario: scenarios.zombieAfterClean, withRule: 'clean', withoutRule: 'duplicated' },
  { rule: 'reread-at-publish', scenario: scenarios.commitsLost, withRule: 'clean', withoutRule: 'missing' },
  { rule: 'wait-for-readers', scenario: scenarios.oldReader, withRule: 'clean', withoutRule: 'partial reads' },
];

/** A scenario on workers without these rules. */
interface Play {
  readonly without: readonly string[];
  readonly scenario: Scenario;
  readonly finding: Finding;
}

const playsOf = ({ rule, scenario, also = [], withRule, withoutRule }: Case): readonly [Play, Play] => [
  { without: also, scenario, finding: withRule },
  { without: [...also, rule], scenario, finding: withoutRule },
];

const queueOf = ({ without }: Pick<Play, 'without'>) => ['rules', ...without].join('-');
const keyOf = (play: Play) => `${queueOf(play)}: ${play.scenario.about}`;

/** Each once, those with the same workers behind each other, first those that lack nothing. */
const PLAYS: readonly Play[] = [...new Map(CASES.flatMap(playsOf).map((play) => [keyOf(play), play])).values()].sort(
  (one, other) => queueOf(one).localeCompare(queueOf(other)),
);

let stack: Stack;
const workers = new Map<string, Promise<WorkerProcess>>();
const told = new Map<string, string>();

beforeAll(async () => {
  stack = await Stack.start({ dir: join(tmpdir(), `longhaul-rules-${process.pid}`), workers: 0, nodeArgs: NODE_ARGS });
});

afterAll(async () => {
  await stack.stop();
  console.log(table());
});

test('every rule that can be taken out has a case', () => {
  expect(new Set(CASES.map(({ rule }) => rule))).toEqual(new Set(RULES.map(({ name }) => name)));
});

for (const [index, play] of PLAYS.entries()) {
  const title = play.without.length === 0 ? 'with every rule' : `without ${play.without.join(' and ')}`;
  test(`${title}: ${play.scenario.about}: ${play.finding}`, { timeout: 300_000 }, async () => {
    const env = without(...play.without);
    stack.taskQueue = queueOf(play);
    await workerOf(play);
    const next = PLAYS[index + 1];
    // It starts while this one copies.
    const ahead = next && workerOf(next);
    const played = await scenarios.play(stack, play.scenario, env);
    told.set(keyOf(play), inWords(played));
    await ahead;
    if (next === undefined || queueOf(next) !== queueOf(play)) await (await workerOf(play)).kill();
    expect(findingOf(played), JSON.stringify(played)).toBe(play.finding);
  });
}

function workerOf(play: Play): Promise<WorkerProcess> {
  const queue = queueOf(play);
  const worker = workers.get(queue) ?? stack.startWorker({ ...without(...play.without), CHAOS_TASK_QUEUE: queue });
  workers.set(queue, worker);
  return worker;
}

/** `refused`: the job has failed by a rule's own word, and the target is as it was. */
function findingOf({ verdict, later }: Played): Finding | undefined {
  const { problems, missing, duplicated, partialReads, finished } = verdict;
  if (isClean(verdict)) return 'clean';
  if (problems.includes('the job has not ended in time')) return later && isClean(later) ? 'not finished' : undefined;
  if (!finished && problems.some((problem) => problem.includes('is for another predicate'))) return 'refused';
  const found = [missing > 0, duplicated > 0, partialReads.length > 0];
  if (found.filter(Boolean).length !== 1) return undefined;
  return (['missing', 'duplicated', 'partial reads'] as const)[found.indexOf(true)];
}

function inWords(played: Played): string {
  const { missing, duplicated, partialReads, finished } = played.verdict;
  const finding = findingOf(played);
  if (finding === 'clean') return 'clean';
  if (finding === 'refused') return 'the job fails (PlanChanged); the target is as it was';
  if (finding === 'not finished') return 'not finished in time; clean as soon as the zombie has gone on';
  const found = [
    ...(missing > 0 ? [`${missing} rows missing`] : []),
    ...(duplicated > 0 ? [`${duplicated} rows duplicated`] : []),
    ...partialReads.map(({ old, rows }) => `a reader saw ${old} old and ${rows} new rows`),
    ...(finished ? [] : ['and the job says so after it has published']),
  ];
  return found.join(', ');
}

function table(): string {
  const head = ['rule', 'scenario', 'with it', 'without it'];
  const lines = new Table({ head, style: { head: [], border: [] }, colWidths: [26, 50, 28, 40], wordWrap: true });
  for (const each of CASES) {
    const [withRule, withoutRule] = playsOf(each).map((play) => told.get(keyOf(play)) ?? '');
    const rule = each.also === undefined ? each.rule : `${each.rule} (${each.also.join(', ')} out in both)`;
    lines.push([rule, each.scenario.about, withRule!, withoutRule!]);
  }
  return lines.toString();
}
