import { afterAll, expect, test } from 'vitest';
import type { FaultKind } from './kind.js';
import { POSTGRES_KINDS } from './kinds/index.js';
import { complaint, recoveryLine, table, totals } from './report.js';
import { runLanes, type Outcome } from './run.js';

/** Each kind of fault of jobs into Postgres once, on real processes; `npm run chaos` goes on from there. dist/ has to be built. */

/** Its choices hold no outage of a whole minute. */
const SEED = 5;
const LANES = 2;
const FAULTS = 40;

const outcomes: Outcome[] = [];
const kinds: FaultKind[] = [];
const skipped: string[] = [];

afterAll(() => {
  console.log(table(kinds, outcomes, skipped));
  console.log(recoveryLine(outcomes) ?? 'no worker was killed in mid-copy');
});

test(
  'whatever goes wrong, every row arrives exactly once, and nothing is left over',
  { timeout: 1_500_000 },
  async () => {
    for (const kind of POSTGRES_KINDS) {
      if ((await kind.unavailable?.()) === undefined) kinds.push(kind);
      else skipped.push(kind.name);
    }
    let number = 0;
    const next = () => (number < kinds.length ? number++ : undefined);
    const left = await runLanes({ kinds, seed: SEED, strikes: 1 }, LANES, {}, next, (outcome) =>
      outcomes.push(outcome),
    );

    expect(outcomes.flatMap((outcome) => complaint(SEED, outcome) ?? [])).toEqual([]);
    const { faults, ...counts } = totals({ seed: SEED, wanted: FAULTS, skipped }, outcomes, left.length);
    expect(counts).toMatchObject({
      jobs: kinds.length,
      missing: 0,
      duplicated: 0,
      leftovers: 0,
      partialReads: 0,
      failed: 0,
    });
    expect(faults).toBeGreaterThanOrEqual(FAULTS);
  },
);
