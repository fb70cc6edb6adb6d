import { expect, test } from 'vitest';
import { eachOnce } from './each-once.js';
import { POSTGRES_KINDS } from './kinds/index.js';

/** Each kind of fault of jobs into Postgres once, on real processes; `npm run chaos` goes on from there. dist/ has to be built. */

/** Its choices hold no outage of a whole minute. */
const SEED = 5;
const LANES = 2;
const FAULTS = 40;

test(
  'whatever goes wrong, every row arrives exactly once, and nothing is left over',
  { timeout: 1_500_000 },
  async () => {
    expect(await eachOnce(POSTGRES_KINDS, SEED, LANES)).toBeGreaterThanOrEqual(FAULTS);
  },
);
