import { Command, InvalidArgumentError, Option } from 'commander';
import { KINDS } from './kinds/index.js';
import type { FaultKind } from './kind.js';
import { complaint, holds, recoveryLine, shortfall, table, totals } from './report.js';
import { runLanes, type Outcome, type Plan } from './run.js';
import { NODE_ARGS, RULES, without } from './rules/rules.js';

interface Options {
  readonly faults: number;
  readonly seed: number;
  readonly kinds: readonly FaultKind[];
  readonly minutes: number;
  readonly lanes: number;
  readonly strikes: number;
  readonly job?: number;
  readonly without?: NodeJS.ProcessEnv;
}

const number = (text: string): number => {
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0) throw new InvalidArgumentError('write a number.');
  return value;
};

function kindsOf(text: string): FaultKind[] {
  return text.split(',').map((name) => {
    const kind = KINDS.find((each) => each.name === name.trim());
    if (kind === undefined)
      throw new InvalidArgumentError(`${name} is none of ${KINDS.map((each) => each.name).join(', ')}.`);
    return kind;
  });
}

function withoutOf(text: string): NodeJS.ProcessEnv {
  try {
    return without(...text.split(',').map((name) => name.trim()));
  } catch (error) {
    throw new InvalidArgumentError(`${(error as Error).message}.`);
  }
}

const program = new Command('npm run chaos --')
  .description(
    'Copies tables while things go wrong, on real processes, and looks for rows that are missing, doubled or seen too early.',
  )
  .option('--faults <n>', 'end after so many faults have struck', number, 100)
  .option('--seed <n>', 'makes the same choices again', number, Date.now() % 100_000)
  .addOption(
    new Option('--kinds <a,b,…>', 'only these kinds of fault').argParser(kindsOf).default(KINDS, 'all that are below'),
  )
  .option(
    '--minutes <m>',
    'start no job after so many minutes: fails unless all faults have struck by then, or this was given',
    number,
    60,
  )
  .option('--lanes <n>', 'sets of servers and workers that are used at the same time', number, 2)
  .option('--strikes <n>', 'so many times as many faults in a job, of kinds that can be repeated', number, 1)
  .option('--job <n>', 'only the job of this number, as a complaint names it', number)
  .option(
    '--without <a,b,…>',
    'take these rules out of the workers: rows get lost or doubled, and are found',
    withoutOf,
  )
  .addHelpText('after', `\nKinds of fault:\n${lines(KINDS)}\n\nRules that can be taken out:\n${lines(RULES)}`)
  .parse();

const options = program.opts<Options>();
/** Somebody who says how long it may take knows that it may be cut short. */
const mayFallShort = program.getOptionValueSource('minutes') === 'cli';
process.exitCode = (await chaos(options, await possible(options.kinds))) ? 0 : 1;

interface Possible {
  readonly left: readonly FaultKind[];
  /** Names. */
  readonly skipped: readonly string[];
}

async function possible(kinds: readonly FaultKind[]): Promise<Possible> {
  const left: FaultKind[] = [];
  const skipped: string[] = [];
  for (const kind of kinds) {
    const why = await kind.unavailable?.();
    if (why === undefined) left.push(kind);
    else {
      skipped.push(kind.name);
      console.error(`${kind.name} is skipped: ${why}`);
    }
  }
  if (left.length === 0) throw new Error('no kind of fault is left');
  return { left, skipped };
}

function lines(all: readonly { name: string; about: string }[]): string {
  return all.map(({ name, about }) => `  ${name.padEnd(28)} ${about}`).join('\n');
}

/** Where a rule is out, neither a key of the target nor a checksum stands in for it: what it prevents is there to be counted. */
function bare(kind: FaultKind): FaultKind {
  return { ...kind, shape: { ...kind.shape, keyed: false, verify: 'counts' } };
}

async function chaos(
  { faults, seed, minutes, lanes, job, without: env, strikes }: Options,
  { left: possible, skipped }: Possible,
): Promise<boolean> {
  const kinds = env === undefined ? possible : possible.map(bare);
  const plan: Plan = { kinds, seed, strikes };
  const until = Date.now() + minutes * 60_000;
  const outcomes: Outcome[] = [];
  const struck = () => outcomes.reduce((sum, outcome) => sum + outcome.faults, 0);
  let number = 0;
  const next = () => {
    if (job !== undefined) return number++ === 0 ? job : undefined;
    return struck() >= faults || Date.now() >= until ? undefined : number++;
  };
  const tell = (outcome: Outcome) => {
    outcomes.push(outcome);
    const { kind, faults: hits, seconds } = outcome;
    console.error(
      `${String(outcome.number).padStart(4)} ${kind.padEnd(28)} ${hits} struck, ${seconds.toFixed(1)} s; ${struck()} in all`,
    );
    const wrong = complaint(seed, outcome);
    if (wrong !== undefined) console.error(wrong);
  };
  const left = await runLanes(plan, lanes, env ? { env, nodeArgs: NODE_ARGS } : {}, next, tell);
  console.log(table(kinds, outcomes, skipped));
  const recovered = recoveryLine(outcomes);
  if (recovered !== undefined) console.log(recovered);
  const sums = totals({ seed, wanted: job === undefined ? faults : 0, skipped }, outcomes, left.length);
  const short = shortfall(sums);
  if (short !== undefined) console.log(short);
  console.log(JSON.stringify(sums));
  return holds(sums) && (short === undefined || mayFallShort);
}
