import type { Mode, TableState } from '../../../core/model.js';
import type { RunRecord } from '../../types.js';

/** What a run's log says, and what its entries add up to. Pure. */

/** Over the receipts of a table when all were there. */
export interface Sums {
  readonly partitions: number;
  readonly committed: number;
  readonly skipped: number;
  readonly rows: number;
  readonly quarantined?: number;
  readonly bytes: number;
}

/** A table as the log knows it; the rest of its record is an object of its own. */
export interface NewTable {
  readonly table: string;
  readonly to: string;
  readonly mode: Mode;
  /** It is read by queries. */
  readonly queried?: true;
  /** The number of its snapshot, with `consistency: snapshot`. */
  readonly snapshot?: number;
}

export interface TableEntry extends NewTable {
  readonly state: TableState;
  readonly changedAt: string;
  readonly expired?: true;
  /** While it is being published, and afterwards: the number of the log's entry by which publishing began. */
  readonly epoch?: number;
  /** What the target's own log ended with before that: see `Targets.mark`. */
  readonly since?: number;
  readonly sums?: Sums;
}

/** Tables are named by their position. Absent `published`: none was found to be published already. */
export type Change =
  /** The first one opens the run and says where its records lie; later ones open it again. */
  | {
      readonly kind: 'open';
      readonly run: RunRecord & { readonly startedAt: string };
      readonly records?: string;
      readonly tables?: readonly NewTable[];
      readonly published?: readonly number[];
      /** Tables under snapshots of this number or a lower one get the next. */
      readonly startOver?: number;
    }
  | {
      readonly kind: 'close';
      readonly state: 'suspended' | 'discarded';
      readonly published?: readonly number[];
      /** Left as they are. */
      readonly except?: readonly number[];
    }
  | { readonly kind: 'startOver'; readonly snapshot: number; readonly published?: readonly number[] }
  | { readonly kind: 'publishing'; readonly table: number; readonly sums: Sums; readonly since?: number }
  | { readonly kind: 'published'; readonly table: number }
  | { readonly kind: 'expire'; readonly tables: readonly number[] }
  | { readonly kind: 'forget' }
  /** Changes nothing: whoever was about to put this number has to look again. */
  | { readonly kind: 'fence' };

export interface LogEntry {
  /** Unique: no other writer puts the same bytes. */
  readonly by: string;
  /** ISO 8601, by the writer's clock, but later than that of the entry before. */
  readonly at: string;
  readonly change: Change;
  /** What all entries up to this one add up to; in every one whose number is divisible by `CHECKPOINT`, 0 apart. */
  readonly state?: RunState;
}

export const CHECKPOINT = 128;

export interface OpenedRun {
  readonly run: RunRecord & { readonly startedAt: string };
  readonly forgottenAt?: string;
  /** The opening whose records count. */
  readonly records: string;
  readonly tables: readonly TableEntry[];
}

export interface RunState {
  /** The number of the next entry. */
  readonly next: number;
  /** Of the last entry. */
  readonly at?: string;
  /** Absent: the run was never opened. */
  readonly opened?: OpenedRun;
}

export const UNKNOWN: RunState = { next: 0 };

export function apply(state: RunState, { at, change }: LogEntry): RunState {
  const number = state.next;
  const opened = openedBy(state.opened, change, { at, number });
  return { next: number + 1, at, ...(opened && { opened }) };
}

interface When {
  readonly at: string;
  readonly number: number;
}

function openedBy(opened: OpenedRun | undefined, change: Change, when: When): OpenedRun | undefined {
  if (change.kind === 'open') return open(opened, change, when);
  if (!opened || change.kind === 'fence') return opened;
  if (change.kind === 'forget') return { ...opened, forgottenAt: opened.forgottenAt ?? when.at };
  return { ...opened, tables: opened.tables.map((table, position) => moved(table, position, change, when)) };
}

function open(opened: OpenedRun | undefined, change: Change & { kind: 'open' }, when: When): OpenedRun | undefined {
  if (!opened) {
    const { run, records = '', tables = [] } = change;
    return { run, records, tables: tables.map((table) => ({ ...table, state: 'open', changedAt: when.at })) };
  }
  const { name = change.run.name, startedAt } = opened.run;
  const run = { ...opened.run, ...change.run, startedAt, ...(name !== undefined && { name }) };
  return { ...opened, run, tables: opened.tables.map((table, position) => moved(table, position, change, when)) };
}

/** The fields that a state does not take with it into another. */
function fresh({ state: _, epoch: _e, since: _m, sums: _s, ...table }: TableEntry): Omit<TableEntry, 'state'> {
  return table;
}

type Moving = Exclude<Change, { kind: 'forget' | 'fence' }>;

function moved(table: TableEntry, position: number, change: Moving, when: When): TableEntry {
  const changedAt = when.at;
  if ('published' in change && change.published.includes(position)) return { ...table, state: 'published', changedAt };
  switch (change.kind) {
    case 'open':
      return reopened(table, change.startOver, changedAt);
    case 'close':
      if (change.except?.includes(position)) return table;
      return isClosable(table, change.state) ? { ...fresh(table), state: change.state, changedAt } : table;
    case 'startOver':
      return isUnder(table, change.snapshot) ? over(table, change.snapshot, changedAt) : table;
    case 'publishing':
      if (position !== change.table) return table;
      return {
        ...{ ...fresh(table), state: 'publishing', changedAt, epoch: when.number, sums: change.sums },
        ...(change.since !== undefined && { since: change.since }),
      };
    case 'published':
      if (position !== change.table) return table;
      return { ...table, state: 'published', changedAt };
    case 'expire':
      if (!change.tables.includes(position)) return table;
      return { ...fresh(table), state: 'discarded', expired: true, changedAt };
  }
}

function reopened(table: TableEntry, startOver: number | undefined, changedAt: string): TableEntry {
  if (table.state === 'published' || table.state === 'discarded') return table;
  const again: TableEntry = { ...fresh(table), state: 'open', changedAt };
  return startOver !== undefined && isUnder(again, startOver) ? over(again, startOver, changedAt) : again;
}

function over(table: TableEntry, last: number, changedAt: string): TableEntry {
  return { ...fresh(table), state: 'open', snapshot: last + 1, changedAt };
}

export function isOpen({ state }: Pick<TableEntry, 'state'>): boolean {
  return state === 'open' || state === 'publishing';
}

export function isClosable(table: TableEntry, to: 'suspended' | 'discarded'): boolean {
  return isOpen(table) || (to === 'discarded' && table.state === 'suspended');
}

/** It is read under this snapshot or an earlier one, and not published. */
export function isUnder(table: TableEntry, snapshot: number): boolean {
  return isOpen(table) && table.snapshot !== undefined && table.snapshot <= snapshot;
}

export function changedAtOf({ run, tables }: OpenedRun): number {
  return Math.max(Date.parse(run.startedAt), ...tables.map(({ changedAt }) => Date.parse(changedAt)));
}
