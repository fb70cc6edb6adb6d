/**
 * A small explicit-state model checker. It walks every state that a model can reach, breadth first, so that the first violation
 * it meets has a shortest trace; then it looks for states from which no end can be reached any more by steps that are sure to come.
 */

/** One way on from a state. */
export interface Step<S> {
  /** What a person reads in a trace. */
  readonly name: string;
  readonly to: S;
  /** Comes some day when nothing else goes wrong. Faults, zombies and people's decisions may stay away for ever. */
  readonly sure: boolean;
}

export interface Model<S> {
  readonly initial: S;
  steps(state: S): readonly Step<S>[];
  /** Equal for states that differ in nothing that matters. */
  key(state: S): string;
  /** What is wrong with this state; undefined: nothing. */
  violation(state: S): string | undefined;
  /** Nothing more has to happen. */
  isEnd(state: S): boolean;
}

export interface Violation {
  readonly what: string;
  /** The steps that lead there from the initial state, a shortest way. */
  readonly trace: readonly string[];
}

export interface Exploration {
  readonly states: number;
  readonly steps: number;
  /** Steps from the initial state to the farthest. */
  readonly depth: number;
  readonly violation?: Violation;
}

export const NO_WAY_TO_AN_END = 'from here no end can be reached, though nothing more goes wrong';

/** `limit`: states after which it throws, since a model that grew beyond it would no longer be walked to its end. */
export function explore<S>(model: Model<S>, limit = 3_000_000): Exploration {
  return new Walk(model, limit).run();
}

class Walk<S> {
  readonly #numbers = new Map<string, number>();
  /** By a state's number. */
  readonly #parents: number[] = [];
  readonly #names: string[] = [];
  readonly #ends: number[] = [];
  /** Sure steps, as pairs of numbers: from, to. */
  readonly #sure: number[] = [];
  #level: [number: number, state: S][] = [];
  #next: [number: number, state: S][] = [];
  #steps = 0;
  #depth = 0;

  constructor(
    private readonly model: Model<S>,
    private readonly limit: number,
  ) {}

  run(): Exploration {
    let violation = this.#reach(this.model.initial, -1, '').violation;
    while (this.#next.length > 0 && violation === undefined) {
      [this.#level, this.#next] = [this.#next, []];
      violation = this.#walkLevel();
      if (this.#next.length > 0) this.#depth += 1;
    }
    violation ??= this.#stuck();
    const counts = { states: this.#parents.length, steps: this.#steps, depth: this.#depth };
    return violation === undefined ? counts : { ...counts, violation };
  }

  #walkLevel(): Violation | undefined {
    for (const [from, state] of this.#level) {
      for (const step of this.model.steps(state)) {
        this.#steps += 1;
        const { number, violation } = this.#reach(step.to, from, step.name);
        if (violation !== undefined) return violation;
        if (step.sure) this.#sure.push(from, number);
      }
    }
    return undefined;
  }

  #reach(state: S, from: number, name: string): { number: number; violation?: Violation } {
    const key = this.model.key(state);
    const known = this.#numbers.get(key);
    if (known !== undefined) return { number: known };
    const number = this.#parents.push(from) - 1;
    if (number >= this.limit) throw new Error(`more than ${this.limit} states: the instance is too large`);
    this.#numbers.set(key, number);
    this.#names.push(name);
    this.#next.push([number, state]);
    if (this.model.isEnd(state)) this.#ends.push(number);
    const what = this.model.violation(state);
    return what === undefined ? { number } : { number, violation: { what, trace: this.#trace(number) } };
  }

  #trace(to: number): string[] {
    const names: string[] = [];
    for (let at = to; this.#parents[at] !== -1; at = this.#parents[at]!) names.unshift(this.#names[at]!);
    return names;
  }

  /** The first state met from which sure steps lead to no end: backwards from the ends, what is left over. */
  #stuck(): Violation | undefined {
    const before = new Predecessors(this.#parents.length, this.#sure);
    const ending = new Uint8Array(this.#parents.length);
    const open = [...this.#ends];
    for (const end of open) ending[end] = 1;
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      before.each(at, (earlier) => {
        if (ending[earlier] === 1) return;
        ending[earlier] = 1;
        open.push(earlier);
      });
    }
    const stuck = ending.indexOf(0);
    return stuck === -1 ? undefined : { what: NO_WAY_TO_AN_END, trace: this.#trace(stuck) };
  }
}

/** The steps turned round, as one list of all with each state's place in it. */
class Predecessors {
  readonly #starts: Uint32Array;
  readonly #all: Uint32Array;

  constructor(states: number, pairs: readonly number[]) {
    this.#starts = new Uint32Array(states + 1);
    this.#all = new Uint32Array(pairs.length / 2);
    for (let at = 1; at < pairs.length; at += 2) this.#starts[pairs[at]! + 1]! += 1;
    for (let at = 0; at < states; at += 1) this.#starts[at + 1]! += this.#starts[at]!;
    const free = this.#starts.slice();
    for (let at = 0; at < pairs.length; at += 2) {
      const to = pairs[at + 1]!;
      this.#all[free[to]!] = pairs[at]!;
      free[to]! += 1;
    }
  }

  each(state: number, visit: (earlier: number) => void): void {
    for (let at = this.#starts[state]!; at < this.#starts[state + 1]!; at += 1) visit(this.#all[at]!);
  }
}
