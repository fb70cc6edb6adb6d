import { expect } from 'vitest';
import type { FaultKind } from './kind.js';
import { complaint, recoveryLine, table, totals } from './report.js';
import { runLanes, type Outcome } from './run.js';

/** Runs one job of each kind and holds that nothing came of it; prints the table. Answers with the faults that have struck. */
export async function eachOnce(all: readonly FaultKind[], seed: number, lanes: number): Promise<number> {
  const outcomes: Outcome[] = [];
  const kinds: FaultKind[] = [];
  const skipped: string[] = [];
  for (const kind of all) {
    if ((await kind.unavailable?.()) === undefined) kinds.push(kind);
    else skipped.push(kind.name);
  }
  let number = 0;
  const next = () => (number < kinds.length ? number++ : undefined);
  const tell = (outcome: Outcome) => void outcomes.push(outcome);
  const left = await runLanes({ kinds, seed, strikes: 1 }, lanes, {}, next, tell).finally(() => {
    console.log(table(kinds, outcomes, skipped));
    console.log(recoveryLine(outcomes) ?? 'no worker was killed in mid-copy');
  });
  expect(outcomes.flatMap((outcome) => complaint(seed, outcome) ?? [])).toEqual([]);
  const { faults, ...counts } = totals({ seed, wanted: 0, skipped }, outcomes, left.length);
  const none = { missing: 0, duplicated: 0, leftovers: 0, partialReads: 0, failed: 0 };
  expect(counts).toMatchObject({ jobs: kinds.length, ...none });
  return faults;
}
