import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ObjectStore } from '../../objects/store.js';
import { damaged } from './objects.js';
import { NumberedLog } from './numbered-log.js';
import { runFolder } from './paths.js';
import { apply, CHECKPOINT, UNKNOWN, type Change, type LogEntry, type RunState } from './run-state.js';

/** Runs whose state is kept in a worker's memory: some hundred bytes for each of their tables. */
const CACHED = 16;

/**
 * What a worker has read of logs, by run's folder. An entry never changes, so that only what came after has to be read: one request,
 * which finds nothing. One for a connection, shared by its sessions.
 */
export class RunCache {
  readonly #states = new Map<string, RunState>();

  get(folder: string): RunState | undefined {
    return this.#states.get(folder);
  }

  put(folder: string, state: RunState): void {
    const known = this.#states.get(folder);
    if (known && known.next > state.next) return;
    this.#states.delete(folder);
    this.#states.set(folder, state);
    if (this.#states.size > CACHED) this.#states.delete(this.#states.keys().next().value!);
  }

  drop(folder: string): void {
    this.#states.delete(folder);
  }
}

/** Entries that are looked for one by one before the store is asked for a list. */
const FEW = 8;

/** The logs of transitions. */
export class RunLogs {
  constructor(
    private readonly store: ObjectStore,
    private readonly cache = new RunCache(),
  ) {}

  async read(run: string): Promise<RunState> {
    const folder = runFolder(run);
    const known = this.cache.get(folder);
    const state = known ? await this.#readOn(folder, known) : await this.readAll(folder);
    this.cache.put(folder, state);
    return state;
  }

  /** As `read`, from the store alone: also when the ledger was removed and made anew since. */
  readAnew(run: string): Promise<RunState> {
    this.cache.drop(runFolder(run));
    return this.read(run);
  }

  /** Of the run in this folder, past the cache. */
  async readAll(folder: string): Promise<RunState> {
    const log = this.#log(folder);
    const last = await log.last();
    const checkpoint = last - (last % CHECKPOINT);
    if (last < CHECKPOINT) return this.#fold(folder, UNKNOWN, last);
    const [entry] = await log.read(checkpoint, checkpoint + 1);
    if (!entry?.state) throw damaged(this.store, `${folder}/log`, `has no state in entry ${checkpoint}`);
    return this.#fold(folder, entry.state, last);
  }

  async #readOn(folder: string, known: RunState): Promise<RunState> {
    const log = this.#log(folder);
    let state = known;
    for (let count = 0; count < FEW; count++) {
      const entry = await log.find(state.next);
      if (!entry) return state;
      state = apply(state, entry);
    }
    return this.#fold(folder, state, await log.last(state.next - 1));
  }

  async #fold(folder: string, from: RunState, last: number): Promise<RunState> {
    const entries = await this.#log(folder).read(from.next, last + 1);
    return entries.reduce(apply, from);
  }

  /** Undefined: another has put the entry that would follow `state`. */
  async append(run: string, state: RunState, change: Change): Promise<RunState | undefined> {
    const entry: LogEntry = { by: randomUUID(), at: later(state.at), change };
    const after = apply(state, entry);
    const checkpoint = state.next > 0 && state.next % CHECKPOINT === 0;
    const folder = runFolder(run);
    if (!(await this.#log(folder).append(state.next, checkpoint ? { ...entry, state: after } : entry)))
      return undefined;
    this.cache.put(folder, after);
    return after;
  }

  /** Puts what `decide` makes of the state, of the newest one; undefined: nothing. Answers with the state that then is. */
  async change(run: string, decide: (state: RunState) => Promise<Change | undefined>): Promise<RunState> {
    for (let lost = 0; ; lost++) {
      await backOff(lost);
      const state = await this.read(run);
      const change = await decide(state);
      if (!change) return state;
      const after = await this.append(run, state, change);
      if (after) return after;
    }
  }

  #log(folder: string): NumberedLog<LogEntry> {
    return new NumberedLog(this.store, `${folder}/log`);
  }
}

const LONGEST_PAUSE_MS = 500;

/** Of many that want the next number one wins each time; it is time for the others to read on. */
export async function backOff(lost: number): Promise<void> {
  if (lost > 0) await sleep(Math.random() * Math.min(LONGEST_PAUSE_MS, 5 * 2 ** lost));
}

/** Clocks of two workers differ; the order of entries does not. */
function later(than: string | undefined): string {
  const earliest = than === undefined ? 0 : Date.parse(than) + 1;
  return new Date(Math.max(Date.now(), earliest)).toISOString();
}
