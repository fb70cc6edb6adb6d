/**
 * Dealing one job-wide parallelism to tables. The parent (`Dealer`) tells each running table how many slots it may use; the
 * table (`Allowance`) says what it holds and could use. Messages pass both ways with delay, so the parent counts as taken
 * whatever a table may still be using: a slot is released before it is granted again, and the sum of what all tables use
 * never exceeds the parallelism.
 */

/** What the parent tells a table. `sequence` grows with each grant to that table. */
export interface Grant {
  readonly slots: number;
  readonly sequence: number;
}

/** What a table tells its parent. */
export interface SlotReport {
  /** In use at this moment, or allowed if more: the table never uses more than this without a newer grant. */
  readonly holds: number;
  /** How many it could use: what runs and what is left to run. */
  readonly wants: number;
  /** The latest grant that it has taken in. */
  readonly acknowledged: number;
}

export interface TableDemand {
  /** Slots it was last told, less what it gave back. */
  readonly granted: number;
  /** Slots to count as taken, whatever it was told. */
  readonly holds: number;
  readonly wants: number;
}

/**
 * Max-min fair shares of `total` slots: nobody gets more than wanted, nothing is left over while somebody wants more, and
 * shares differ by at most one unless a smaller one was all that was wanted. Odd slots go to the earlier tables.
 */
export function fairShares(total: number, wants: readonly number[]): number[] {
  const shares = wants.map(() => 0);
  const order = wants.map((_, index) => index).sort((a, b) => wants[a]! - wants[b]! || b - a);
  let left = total;
  order.forEach((index, position) => {
    const share = Math.min(wants[index]!, Math.floor(left / (order.length - position)));
    shares[index] = share;
    left -= share;
  });
  return shares;
}

/**
 * The slots to tell each table now. A table above its fair share is shrunk at once, and what it still holds stays taken
 * until it reports; the others grow into what is free, those without a slot first.
 */
export function deal(total: number, tables: readonly TableDemand[]): number[] {
  const targets = fairShares(
    total,
    tables.map(({ wants }) => Math.min(wants, total)),
  );
  const slots = tables.map(({ granted, holds }, i) => {
    const target = targets[i]!;
    return target < granted ? target : Math.max(granted, Math.min(target, holds));
  });
  let free = Math.max(0, total - sum(tables.map(({ holds }, i) => Math.max(slots[i]!, holds))));
  slots.forEach((now, i) => {
    if (now > 0 || targets[i] === 0 || free === 0) return;
    slots[i] = 1;
    free -= 1;
  });
  const more = fairShares(
    free,
    slots.map((now, i) => Math.max(0, targets[i]! - now)),
  );
  return slots.map((now, i) => now + more[i]!);
}

interface Row {
  granted: number;
  /** As last reported. */
  holds: number;
  wants: number;
  sequence: number;
  /** Grants that no report has acknowledged: each may be in force. */
  pending: Grant[];
}

/** The parent's side: who was told what. */
export class Dealer {
  readonly #rows = new Map<string, Row>();

  constructor(public total: number) {}

  /** How many tables may be started now, each with a slot at least. */
  startable(): number {
    const rows = [...this.#rows.values()];
    const taken = sum(rows.map((row) => Math.max(row.granted, holdsOf(row))));
    const waiting = rows.filter((row) => row.wants > 0 && row.granted === 0).length;
    return Math.max(0, this.total - taken - waiting);
  }

  /** A table about to start: it wants all that it can get until it says otherwise. */
  add(table: string): void {
    this.#rows.set(table, { granted: 0, holds: 0, wants: Number.POSITIVE_INFINITY, sequence: 0, pending: [] });
  }

  /** Tables that were removed are ignored. */
  report(table: string, { holds, wants, acknowledged }: SlotReport): void {
    const row = this.#rows.get(table);
    if (row === undefined) return;
    row.pending = row.pending.filter(({ sequence }) => sequence > acknowledged);
    row.holds = holds;
    row.wants = wants;
    row.granted = row.pending.at(-1)?.slots ?? Math.min(row.granted, holds);
  }

  remove(table: string): void {
    this.#rows.delete(table);
  }

  /** Deals anew; answers with the grants that changed, to be sent. */
  deal(): { table: string; grant: Grant }[] {
    const entries = [...this.#rows];
    const slots = deal(
      this.total,
      entries.map(([, row]) => ({ granted: row.granted, holds: holdsOf(row), wants: row.wants })),
    );
    return entries.flatMap(([table, row], i) =>
      slots[i] === row.granted ? [] : [{ table, grant: tell(row, slots[i]!) }],
    );
  }
}

function tell(row: Row, slots: number): Grant {
  row.sequence += 1;
  row.granted = slots;
  const grant = { slots, sequence: row.sequence };
  row.pending.push(grant);
  return grant;
}

function holdsOf(row: Row): number {
  return Math.max(row.holds, ...row.pending.map(({ slots }) => slots));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}

/** The table's side: what it may run, and when its parent has to hear of it. */
export class Allowance {
  #slots: number;
  #acknowledged: number;
  /** What the parent believes at most, by our last report and its grants since. */
  #believedHolds: number;
  #believedWants = Number.POSITIVE_INFINITY;

  constructor(grant: Grant) {
    this.#slots = grant.slots;
    this.#believedHolds = grant.slots;
    this.#acknowledged = grant.sequence;
  }

  get slots(): number {
    return this.#slots;
  }

  /** What a successor of this table starts with. */
  get grant(): Grant {
    return { slots: this.#slots, sequence: this.#acknowledged };
  }

  /**
   * A later grant overrules an earlier one, in whatever order they arrive. One that was overtaken, however large, counts as taken until
   * the parent hears of it.
   */
  take({ slots, sequence }: Grant): void {
    if (sequence <= this.#acknowledged) return;
    const overtaken = sequence > this.#acknowledged + 1;
    this.#slots = slots;
    this.#acknowledged = sequence;
    this.#believedHolds = overtaken ? Number.POSITIVE_INFINITY : Math.max(this.#believedHolds, slots);
  }

  /**
   * Gives back what can't be used. Answers whether the parent has to hear of it: slots became free, or more are wanted than it
   * knows of.
   */
  settle(running: number, wants: number): boolean {
    this.#slots = Math.min(this.#slots, Math.max(wants, running));
    return this.holds(running) < this.#believedHolds || (wants > this.#slots && wants > this.#believedWants);
  }

  holds(running: number): number {
    return Math.max(running, this.#slots);
  }

  /** The report to send now. */
  report(running: number, wants: number): SlotReport {
    this.#believedHolds = this.holds(running);
    this.#believedWants = wants;
    return { holds: this.#believedHolds, wants, acknowledged: this.#acknowledged };
  }
}
