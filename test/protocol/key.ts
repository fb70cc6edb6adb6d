import { CHANCES, type Receipt, type Relation, type Session, type State, type Stored } from './state.js';

/**
 * A state as a short string: equal strings, equal states. Each character is a number of up to 16 bits, put together of small ones.
 * Sessions have no names: states that differ in their order alone are one.
 */
export function keyOf(state: State): string {
  const { stored, standby, sessions, reader } = state;
  const numbers = [...storedNumbers(stored), ...(standby === undefined ? [0] : storedNumbers(standby))];
  numbers.push(...sessions.map(sessionNumber).sort((a, b) => a - b), 0, jobNumber(state));
  numbers.push(reader === undefined ? 0 : pack([relationNumber(reader.sees), 10], [Number(reader.older), 1]));
  for (let at = 0; at < CHANCES.length; at += 5) {
    numbers.push(pack(...CHANCES.slice(at, at + 5).map((each): Field => [state.left[each], 3])));
  }
  return String.fromCharCode(...numbers);
}

export function storedKey(stored: Stored): string {
  return String.fromCharCode(...storedNumbers(stored));
}

/** A number, and how many bits it needs. */
type Field = readonly [value: number, bits: number];

function pack(...fields: Field[]): number {
  let packed = 0;
  for (const [value, bits] of fields) {
    if (value < 0 || value >= 1 << bits) throw new Error(`${value} does not fit into ${bits} bits`);
    packed = (packed << bits) | value;
  }
  return packed;
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
const places = new Numbered();
const plans = ['', 'A', 'B'];
const closes = ['', 'suspended', 'discarded'];

function storedNumbers({ state, snapshot, plan, forgotten, receipts, staging, target }: Stored): number[] {
  const [first, second] = receipts.map(receiptNumber);
  const head = [states.of(state), 3] as const;
  const rest: Field[] = [
    [snapshot, 2],
    [plans.indexOf(plan), 2],
    [Number(forgotten), 1],
    [first!, 3],
    [second!, 3],
  ];
  const relations = staging.map((each) => relationNumber(each) + 1).sort((a, b) => a - b);
  return [pack(head, ...rest), ...relations, 0, target === undefined ? 0 : relationNumber(target) + 1];
}

function receiptNumber(receipt: Receipt | undefined): number {
  return receipt === undefined ? 0 : pack([plans.indexOf(receipt.plan), 2], [Number(receipt.skipped), 1]);
}

function relationNumber({ snapshot, rows }: Relation): number {
  return pack([snapshot, 2], ...rows.map((times): Field => [times, 2]));
}

function sessionNumber({ does, at, live, partition, snapshot, plan, to, deletes }: Session): number {
  const saw = (deletes.includes('0') ? 1 : 0) + (deletes.includes('1') ? 2 : 0);
  const where: Field[] = [
    [places.of(`${does} ${at}`) + 1, 6],
    [Number(live), 1],
    [partition + 1, 2],
  ];
  // Of closing and of starting over there is never both, and the first reads no snapshot.
  const rest = to === '' ? pack([snapshot, 2], [saw, 2]) : pack([closes.indexOf(to), 2]) << 2;
  return pack(...where, [plans.indexOf(plan), 2], [rest, 4]);
}

function jobNumber({ job, statistics, broken }: State): number {
  const flags = [...job.done, ...job.skipped, job.cleans, job.swept, statistics === 'B', broken !== ''];
  return pack([steps.of(job.step), 4], [job.snapshot, 2], ...flags.map((flag): Field => [Number(flag), 1]));
}
