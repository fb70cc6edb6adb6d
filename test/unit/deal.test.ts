import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Allowance, deal, Dealer, fairShares, type Grant, type SlotReport } from '../../src/core/deal.js';

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

describe('fairShares', () => {
  test('odd slots go to the earlier tables; small wants are met in full', () => {
    expect(fairShares(10, [100, 100, 100])).toEqual([4, 3, 3]);
    expect(fairShares(10, [100, 1, 100])).toEqual([5, 1, 4]);
    expect(fairShares(2, [5, 5, 5])).toEqual([1, 1, 0]);
    expect(fairShares(5, [])).toEqual([]);
  });

  test('never more than there is or is wanted; nothing is left over; nobody starves', () => {
    fc.assert(
      fc.property(fc.nat(50), fc.array(fc.nat(60), { maxLength: 20 }), (total, wants) => {
        const shares = fairShares(total, wants);
        expect(sum(shares)).toBe(Math.min(total, sum(wants)));
        shares.forEach((share, i) => expect(share).toBeLessThanOrEqual(wants[i]!));
        const unmet = shares.filter((share, i) => share < wants[i]!);
        for (const share of unmet) expect(Math.max(...shares) - share).toBeLessThanOrEqual(1);
        if (total >= wants.length) expect(shares.every((share, i) => share > 0 || wants[i] === 0)).toBe(true);
      }),
    );
  });
});

const demand = fc
  .record({ granted: fc.nat(10), more: fc.nat(10), wants: fc.nat(30) })
  .map(({ granted, more, wants }) => ({ granted, holds: granted + more, wants }));

test('deal never grants what is still taken', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.array(demand, { maxLength: 8 }), (total, tables) => {
      const slots = deal(total, tables);
      const taken = sum(tables.map(({ holds }) => holds));
      const after = sum(slots.map((each, i) => Math.max(each, tables[i]!.holds)));
      expect(after).toBeLessThanOrEqual(Math.max(total, taken));
    }),
  );
});

/** One table with messages on their way: grants may overtake each other, reports may not. */
class Model {
  running = 0;
  readonly grants: Grant[] = [];
  readonly reports: SlotReport[] = [];
  readonly allowance: Allowance;

  constructor(
    grant: Grant,
    public left: number,
  ) {
    this.allowance = new Allowance(grant);
  }

  get wants(): number {
    return this.running + this.left;
  }

  fill(): void {
    while (this.running < this.allowance.slots && this.left > 0) {
      this.running += 1;
      this.left -= 1;
    }
  }

  say(): void {
    if (this.allowance.settle(this.running, this.wants))
      this.reports.push(this.allowance.report(this.running, this.wants));
  }
}

class Job {
  readonly dealer: Dealer;
  readonly tables = new Map<string, Model>();
  started = 0;

  constructor(
    total: number,
    readonly sizes: readonly number[],
  ) {
    this.dealer = new Dealer(total);
    this.deal();
  }

  deal(): void {
    const startable = Math.min(this.dealer.startable(), this.sizes.length - this.started);
    for (let i = 0; i < startable; i += 1) this.dealer.add(String(this.started + i));
    for (const { table, grant } of this.dealer.deal()) {
      const model = this.tables.get(table);
      if (model) model.grants.push(grant);
      else {
        expect(grant.slots).toBeGreaterThan(0);
        this.tables.set(table, new Model(grant, this.sizes[this.started]!));
        this.started += 1;
      }
    }
  }

  /** One thing that may happen, chosen by a number. The parallelism may be lowered and raised again up to where it began. */
  step(choice: number, most?: number): void {
    const moves = [...this.tables].flatMap(([name, model]) => this.#moves(name, model));
    if (most !== undefined && choice % 5 === 0) this.#setTotal(1 + (choice % most));
    else if (moves.length > 0) moves[choice % moves.length]!();
  }

  #setTotal(slots: number): void {
    this.dealer.total = slots;
    this.deal();
  }

  #moves(name: string, model: Model): (() => void)[] {
    const moves: (() => void)[] = [];
    if (model.running > 0)
      moves.push(() => {
        model.running -= 1;
        model.fill();
        model.say();
      });
    else if (model.left === 0) moves.push(() => this.#end(name));
    model.grants.forEach((grant, i) =>
      moves.push(() => {
        model.grants.splice(i, 1);
        model.allowance.take(grant);
        model.fill();
        model.say();
      }),
    );
    if (model.left > 0 && model.running < model.allowance.slots) moves.push(() => model.fill());
    if (model.reports.length > 0)
      moves.push(() => {
        this.dealer.report(name, model.reports.shift()!);
        this.deal();
      });
    return moves;
  }

  #end(name: string): void {
    this.tables.delete(name);
    this.dealer.remove(name);
    this.deal();
  }

  get running(): number {
    return sum([...this.tables.values()].map(({ running }) => running));
  }

  /** Delivers everything that is under way, without any partition ending. */
  settle(): void {
    for (let before = -1; before !== this.running + this.started || this.#underWay > 0;) {
      before = this.running + this.started;
      for (const [name, model] of [...this.tables]) this.#deliver(name, model);
    }
  }

  get #underWay(): number {
    return sum([...this.tables.values()].map(({ grants, reports }) => grants.length + reports.length));
  }

  #deliver(name: string, model: Model): void {
    const grant = model.grants.shift();
    if (grant) model.allowance.take(grant);
    const report = model.reports.shift();
    if (report) this.dealer.report(name, report);
    model.fill();
    model.say();
    this.deal();
  }
}

const sizes = fc.array(fc.nat(12), { minLength: 1, maxLength: 7 });
const total = fc.integer({ min: 1, max: 12 });
const choices = fc.array(fc.nat(1_000), { maxLength: 120 });

test('whatever the order of messages, the parallelism is never exceeded', () => {
  fc.assert(
    fc.property(total, sizes, choices, (slots, tables, moves) => {
      const job = new Job(slots, tables);
      for (const move of moves) {
        job.step(move, slots);
        expect(job.running).toBeLessThanOrEqual(slots);
      }
    }),
    { numRuns: 2_000 },
  );
});

test('once messages have arrived no slot is idle while a partition could use it, and every running table has one', () => {
  fc.assert(
    fc.property(total, sizes, choices, (slots, tables, moves) => {
      const job = new Job(slots, tables);
      for (const move of moves) job.step(move);
      job.settle();
      const models = [...job.tables.values()];
      const queued = sum(job.sizes.slice(job.started));
      const possible = sum(models.map(({ wants }) => wants)) + queued;
      expect(job.running).toBe(Math.min(slots, possible));
      for (const model of models) expect(model.running > 0 || model.left === 0).toBe(true);
    }),
    // A grant is overtaken by one that takes it back from a table that needs neither.
    { numRuns: 1_000, examples: [[9, [5, 1, 2], [685, 452, 902, 959, 512, 100, 322]]] },
  );
});

test('every job ends', () => {
  fc.assert(
    fc.property(total, sizes, fc.array(fc.nat(1_000), { minLength: 50, maxLength: 50 }), (slots, tables, moves) => {
      const job = new Job(slots, tables);
      for (let i = 0; i < 3_000 && (job.tables.size > 0 || job.started < tables.length); i += 1)
        job.step(moves[i % moves.length]! + i);
      expect(job.tables.size).toBe(0);
      expect(job.started).toBe(tables.length);
    }),
    { numRuns: 300 },
  );
});

test('a smaller parallelism is reached as partitions end, a larger one at once', () => {
  const job = new Job(6, [20, 20]);
  job.settle();
  expect(job.running).toBe(6);
  job.dealer.total = 2;
  job.deal();
  job.settle();
  expect(job.running).toBe(6);
  for (let i = 0; i < 4; i += 1) {
    const model = [...job.tables.values()].find(({ running, allowance }) => running > allowance.slots)!;
    model.running -= 1;
    job.settle();
  }
  expect([...job.tables.values()].map(({ running }) => running)).toEqual([1, 1]);
  job.dealer.total = 9;
  job.deal();
  job.settle();
  expect(job.running).toBe(9);
});

test('a grant that was overruled on its way counts as taken until the table says that it saw the newer one', () => {
  const dealer = new Dealer(1);
  dealer.add('a');
  dealer.deal();
  dealer.report('a', { holds: 1, wants: 100, acknowledged: 1 });
  dealer.total = 10;
  expect(dealer.deal()).toEqual([{ table: 'a', grant: { slots: 10, sequence: 2 } }]);
  dealer.total = 2;
  expect(dealer.deal()).toEqual([{ table: 'a', grant: { slots: 2, sequence: 3 } }]);
  dealer.total = 10;
  // The grant of ten may have arrived before that of two: nothing is free for another table.
  expect(dealer.startable()).toBe(0);
  dealer.report('a', { holds: 2, wants: 100, acknowledged: 3 });
  expect(dealer.startable()).toBe(8);
});

test('a table that has not spoken yet wants as much as a parallelism that was raised meanwhile', () => {
  const dealer = new Dealer(2);
  for (const table of ['a', 'b']) dealer.add(table);
  expect(dealer.deal().map(({ grant }) => grant.slots)).toEqual([1, 1]);
  dealer.report('a', { holds: 1, wants: 60, acknowledged: 1 });
  dealer.total = 7;
  expect(dealer.deal().map(({ grant }) => grant.slots)).toEqual([4, 3]);
});
