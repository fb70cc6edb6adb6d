import { s3Program } from '../../support/s3-program.js';
import { DELTA_RS, pythonWith } from '../../support/python.js';
import type { FaultKind } from '../kind.js';
import { LAKES } from '../lakes.js';
import { LAKE_STEP_KINDS } from './lake-steps.js';
import { LAKE_WRITER_KINDS } from './lake-writers.js';
import { OPERATOR_KINDS } from './operator.js';
import { RESET_KINDS } from './resets.js';
import { S3_KINDS } from './s3.js';
import { WORKER_KINDS } from './workers.js';
import { ZOMBIE_KINDS } from './zombies.js';

/** What goes wrong with jobs whose rows go to lakes. */

/** Kinds that are about a job, wherever its rows go. */
const OF_ANY_JOB = [
  ...WORKER_KINDS,
  ...['worker-zombie', 'zombie-after-publish', 'zombie-after-clean'].map((name) => named(ZOMBIE_KINDS, name)),
  ...['cancel-discard', 'terminate-resume', 'terminate-clean'].map((name) => named(OPERATOR_KINDS, name)),
  ...RESET_KINDS,
];

function named(kinds: readonly FaultKind[], name: string): FaultKind {
  return kinds.find((kind) => kind.name === name)!;
}

function intoLakes(kind: FaultKind): FaultKind {
  return { ...kind, name: `lake-${kind.name}`, about: `of a job into a lake: ${kind.about}`, into: LAKES };
}

let why: Promise<string | undefined> | undefined;

/** The S3 server and the readers are made once. */
function unavailable(): Promise<string | undefined> {
  why ??= Promise.all([s3Program(), pythonWith(DELTA_RS)]).then(() => undefined, String);
  return why;
}

export const LAKE_KINDS: readonly FaultKind[] = [
  ...OF_ANY_JOB.map(intoLakes),
  ...LAKE_STEP_KINDS,
  ...LAKE_WRITER_KINDS,
  ...S3_KINDS,
].map((kind) => ({ ...kind, unavailable }));
