import { CHANCES, type Receipt, type Relation, type Session, type State, type Stored } from './state.js';

/**
 * A state as a short string: equal strings, equal states. Each character is 16 bits, put together of small numbers. Sessions have
 * no names: states that differ in their order alone are one.
 */
export function keyOf(state: State): string {
  const { stored, standby, sessions, reader, left } = state;
  const out: number[] = [];
  putStored(out, stored);
  if (standby !== undefined) putStored(out, standby);
  const numbers = sessions.map(sessionNumber);
  if (numbers.length > 1) numbers.sort(ascending);
  for (const number of numbers) out.push(number);
  out.push(0, jobNumber(state), reader === undefined ? 0 : join(relationNumber(reader.sees), 1, Number(reader.older)));
  for (let at = 0; at < CHANCES.length; at += 1) {
    if (at % 5 === 0) out.push(0);
    out[out.length - 1] = join(out.at(-1)!, 3, left[CHANCES[at]!]);
  }
  return String.fromCharCode(...out);
}

export function storedKey(stored: Stored): string {
  const out: number[] = [];
  putStored(out, stored);
  return String.fromCharCode(...out);
}

/** Puts a number of so many bits behind another. */
function join(before: number, bits: number, value: number): number {
  if (value < 0 || value >= 1 << bits) throw new Error(`${value} does not fit into ${bits} bits`);
  return (before << bits) | value;
}

/** Words get their numbers as they turn up, from 0. */
class Numbered {
  readonly #numbers = new Map<string, number>();

  of(word: string): number {
    let number = this.#numbers.get(word);
    if (number === undefined) this.#numbers.set(word, (number = this.#numbers.size));
    return number;
  }
}

const states = new Numbered();
const steps = new Numbered();
const activities = new Numbered();
const places = new Numbered();
const plans = ['', 'A', 'B'];

const ascending = (a: number, b: number): number => a - b;

function putStored(out: number[], { state, snapshot, plan, forgotten, receipts, staging, target }: Stored): void {
  let head = join(states.of(state), 2, snapshot);
  head = join(join(head, 2, plans.indexOf(plan)), 1, Number(forgotten));
  for (const receipt of receipts) head = join(head, 3, receiptNumber(receipt));
  out.push(head);
  for (const relation of staging) out.push(relationNumber(relation) + 1);
  out.push(0, target === undefined ? 0 : relationNumber(target) + 1);
}

function receiptNumber(receipt: Receipt | undefined): number {
  return receipt === undefined ? 0 : join(plans.indexOf(receipt.plan), 1, Number(receipt.skipped));
}

function relationNumber({ snapshot, rows }: Relation): number {
  let number = snapshot;
  for (const times of rows) number = join(number, 2, times);
  return number;
}

/** Of closing and of starting over there is never both, and the first reads no snapshot. */
function sessionNumber({ does, at, live, partition, snapshot, plan, to, deletes }: Session): number {
  const where = join(join(activities.of(does) + 1, 4, places.of(at)), 1, Number(live));
  const what = join(join(where, 2, partition + 1), 2, plans.indexOf(plan));
  const saw = (deletes.includes('0') ? 1 : 0) + (deletes.includes('1') ? 2 : 0);
  return to === '' ? join(join(what, 2, snapshot), 2, saw) : join(what, 4, to === 'suspended' ? 1 : 2);
}

function jobNumber({ job, statistics, broken }: State): number {
  let number = join(steps.of(job.step), 2, job.snapshot);
  for (const flag of job.done) number = join(number, 1, Number(flag));
  for (const flag of job.skipped) number = join(number, 1, Number(flag));
  number = join(join(number, 1, Number(job.cleans)), 1, Number(job.swept));
  return join(join(number, 1, Number(statistics === 'B')), 1, Number(broken !== ''));
}
