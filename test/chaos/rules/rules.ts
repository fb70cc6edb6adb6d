import { fileURLToPath } from 'node:url';

/** A place in compiled code, and what stands there instead when a rule is taken out. */
export interface Edit {
  /** Below dist/. */
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly find: string;
  readonly replace: string;
}

/** A rule of the commit protocol that a worker process can be loaded without. */
export interface Rule {
  /** For `--without`: lower case, words joined by `-`. */
  readonly name: string;
  /** What the code does without it, in a line. */
  readonly about: string;
  readonly edits: readonly Edit[];
}

/** The variable that tells a worker process which rules its code is loaded without: their names, joined by commas. */
export const WITHOUT = 'LONGHAUL_CHAOS_WITHOUT';

/** For `node --import`: always the compiled one, whichever of the two this file is. */
const REGISTER = import.meta.url.includes('/dist/test/')
  ? './register.js'
  : '../../../dist/test/chaos/rules/register.js';

/** Arguments of node for processes that rules may be taken out of. Without the variable they change nothing. */
export const NODE_ARGS = ['--import', fileURLToPath(new URL(REGISTER, import.meta.url))];

/** The environment of a process without these rules. */
export function without(...names: readonly string[]): NodeJS.ProcessEnv {
  return { [WITHOUT]: names.map((name) => ruleOf(name).name).join(',') };
}

export function ruleOf(name: string): Rule {
  const rule = RULES.find((each) => each.name === name);
  if (rule === undefined) throw new Error(`${name} is none of ${RULES.map((each) => each.name).join(', ')}`);
  return rule;
}

const ATTEMPT = 'src/connectors/postgres/destination/attempt.js';
const CLAIM = 'src/connectors/postgres/destination/claim.js';
const RECEIPTS = 'src/connectors/postgres/destination/receipts.js';
const PUBLISH = 'src/connectors/postgres/destination/publish.js';
const COPY_PARTITION = 'activities/copy-partition.js';

const PLANNED_ANEW = `const planner = await openSource(deps, input, running);
        let partition;
        try {
            const whole = await destination.ledger.table(input.run, input.table, { queries: true });
            for await (const each of (await planner.plan(whole)).partitions) if (each.ordinal === input.ordinal) partition = each;
        }
        finally {
            await planner[Symbol.asyncDispose]();
        }`;

export const RULES: readonly Rule[] = [
  {
    name: 'receipt-conflict',
    about: 'a receipt that is there already is written over, and its partition is loaded again',
    edits: [
      {
        file: RECEIPTS,
        find: 'ON CONFLICT DO NOTHING RETURNING 1',
        replace: 'ON CONFLICT (run, table_name, partition) DO UPDATE SET attempt = excluded.attempt RETURNING 1',
      },
    ],
  },
  {
    name: 'receipt-in-transaction',
    about: 'a receipt is committed by itself, before its rows',
    edits: [
      {
        file: ATTEMPT,
        find: 'const state = await readOwnState(session, names, record);',
        replace: `await session.commit();
        await session.begin('destination');
        const state = await readOwnState(session, names, record);`,
      },
    ],
  },
  {
    name: 'partition-lock',
    about: 'an attempt does not look for, and does not end, an earlier one that still holds its partition',
    edits: [
      {
        file: CLAIM,
        find: `await takeLock(session, lockKey('longhaul.partition', key.run, key.table, key.ordinal), what);`,
        replace: '',
      },
    ],
  },
  {
    name: 'stored-plan',
    about: "every attempt plans anew from the source's statistics instead of reading the stored plan",
    edits: [
      {
        file: COPY_PARTITION,
        find: 'const partition = await destination.ledger.partition(input.run, input.table, input.ordinal);',
        replace: PLANNED_ANEW,
      },
    ],
  },
  {
    name: 'predicate-hash',
    about: 'a receipt counts for its ordinal, whatever predicate it was written for',
    edits: [{ file: CLAIM, find: 'if (receipt?.predicateHash === hash)', replace: 'if (receipt)' }],
  },
  {
    name: 'run-state',
    about: 'an attempt commits without looking whether its run is still open',
    edits: [
      {
        file: ATTEMPT,
        find: `const state = await readOwnState(this.session, this.names, this.record, 'FOR SHARE');
        if (state !== 'open')
            throw runClosed(this.key, state);`,
        replace: '',
      },
    ],
  },
  {
    name: 'reread-at-publish',
    about: 'publish trusts the workflow that every receipt is there',
    edits: [
      {
        file: PUBLISH,
        find: 'const totals = await readTotals(session, names, key.run, key.table, MISSING_LIMIT);',
        replace: `const totals = { ...(await readTotals(session, names, key.run, key.table, MISSING_LIMIT)), missing: [] };`,
      },
    ],
  },
  {
    name: 'wait-for-readers',
    about: 'publish swaps the table in without waiting for transactions with an older view',
    edits: [
      {
        file: PUBLISH,
        find: 'await waitForReaders(session, names, record, meter, tuning.publishWait);',
        replace: '',
      },
    ],
  },
];
