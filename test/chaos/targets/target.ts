import type { Link } from '../proxy.js';
import type { Read } from '../readers.js';

/** One table of a run, as the destination's ledger has it. */
export interface LedgerTable {
  readonly table: string;
  readonly state: string;
  readonly snapshot?: number;
  /** Of its plan; absent: not planned. */
  readonly partitions?: number;
  /** That were published; absent: none. */
  readonly rows?: number;
  /** Its receipts, how many of them are of skipped partitions, and the rows that they add up to. */
  readonly receipts: number;
  readonly skipped: number;
  readonly sum: number;
}

/** What a harness asks of a scene's destination, whatever kind of system that is. */
export interface Target {
  /** Of longhaul.yaml. */
  readonly connection: string;
  /** Connections of the workers that are in the middle of a COPY. */
  readonly copying: readonly Link[];
  /** Makes the targets, with what they hold before the job. */
  fill(): Promise<void>;
  /** Receipts of a run; 0 while there is no ledger. */
  committed(run: string): Promise<number>;
  /** The tables of a run in their order; none while it is not open. */
  ledger(run: string): Promise<readonly LedgerTable[]>;
  /** Gives up what is left of all runs, and forgets them, where that is a part of what is tried. Answers with what stands in its way. */
  clean(): Promise<string[]>;
  /** Puts what a reader sees of the targets into the tables of their names in the stack's second Postgres, to be compared there. */
  look(): Promise<void>;
  /** States in which readers may have seen a target that nobody watched all the time, as far as `look` has found them. */
  readonly reads: readonly Read[];
  /** What runs have left that nobody needs. */
  left(): Promise<string[]>;
  /** Removes everything of the scene. */
  remove(): Promise<void>;
}
