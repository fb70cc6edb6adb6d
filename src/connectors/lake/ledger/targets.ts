import { setTimeout as sleep } from 'node:timers/promises';
import type { Mode, TableSpec } from '../../../core/model.js';
import type { ObjectStore } from '../../objects/store.js';
import type { LastPublished, TargetUse } from '../../types.js';
import type { Context } from './context.js';
import { NumberedLog } from './numbered-log.js';
import { mapAll } from '../in-order.js';
import { targetFolder, TARGETS } from './paths.js';
import { isOpen, type RunState, type TableEntry } from './run-state.js';

/**
 * A run's claim on a target, put before the entry of that run's log by which the run is to have it. Until there is an entry of that
 * number the claim is undecided; from then on it counts while the log says that the table is open or being published. A table that was
 * suspended, or an opening that lost its number, comes with a new claim: so one that does not count can be left out for good.
 */
export interface Claim {
  readonly run: string;
  readonly table: string;
  readonly mode: Mode;
  readonly job: string;
  /** Whose rows they are: the job's name, or the workflow id of a run without one. */
  readonly name: string;
  readonly startedAt: string;
  /** The number of that entry. */
  readonly entry: number;
  /** The try to open that has put it: unique. */
  readonly by: string;
}

type Appended = Pick<Claim, 'run' | 'job' | 'name' | 'startedAt'>;
type Replaced = Omit<LastPublished, 'to' | 'queries'> & { readonly queries?: number };

/** An entry in the log of a target: a new claim, and all that has to be known of those before it. */
interface TargetEntry {
  readonly claim: Claim;
  /** Earlier ones that count or may yet. */
  readonly claims: readonly Claim[];
  /** Of each name, the newest runs that have appended. */
  readonly appended: readonly Appended[];
  /** The newest runs that have replaced. */
  readonly replaced: readonly Replaced[];
}

/** A target as its log and the logs of the runs that claim it say. */
interface Judged {
  readonly last: number;
  readonly held: readonly Claim[];
  readonly undecided: readonly Claim[];
  readonly appended: readonly Appended[];
  readonly replaced: readonly Replaced[];
}

/** Two of each, since whoever asks leaves out one run: its own. */
const KEPT = 2;

const POLL_MS = 20;
const LONGEST_POLL_MS = 500;

export class TargetLogs {
  constructor(private readonly context: Context) {}

  /**
   * Puts the claim after all that are there; throws what `refuse` makes of those in its way. A run in its way that is just being opened is
   * waited for, unless this run comes first in the order of runs, or it takes too long: then it has to begin anew. So of several that open at
   * the same time one gets on, whichever claims they had put.
   */
  async claim(mine: Claim, to: string, refuse: (uses: readonly TargetUse[]) => void, stop: AbortSignal): Promise<void> {
    const seen = new Map<string, number>();
    for (;;) {
      stop.throwIfAborted();
      const judged = await this.#judge(to);
      refuse(usesOfOne(judged, { run: mine.run, name: mine.name }, { to, mode: mine.mode }));
      const rival = judged.undecided.find((other) => other.run !== mine.run && excludes(mine, other));
      if (rival) await this.#settleRival(rival, mine, seen);
      else if (await this.#put(to, mine, judged)) return;
    }
  }

  async usesOf(
    asking: { readonly run?: string; readonly name?: string },
    targets: readonly Pick<TableSpec, 'to' | 'mode'>[],
  ): Promise<TargetUse[]> {
    const uses = await mapAll(targets, async (target) => usesOfOne(await this.#judge(target.to), asking, target));
    return uses.flat();
  }

  /** Every target that was claimed, by the name that its runs have for it. */
  async *all(): AsyncGenerator<string> {
    for (let after: string | undefined; ;) {
      const folder = await firstFolder(this.context.store, after);
      if (folder === undefined) return;
      const to = await this.#nameOf(folder);
      if (to !== undefined) yield to;
      after = `${folder}/${PAST_DIGITS}`;
    }
  }

  /** Undefined: no run that has claimed it was ever opened. */
  async #nameOf(folder: string): Promise<string | undefined> {
    const log = new NumberedLog<TargetEntry>(this.context.store, folder);
    const entry = await log.find(await log.last());
    const { claim, claims = [], appended = [], replaced = [] } = entry ?? {};
    for (const { run } of [...(claim ? [claim] : []), ...claims, ...appended, ...replaced]) {
      const { opened } = await this.context.logs.read(run);
      const table = opened?.tables.find(({ to }) => targetFolder(to) === folder);
      if (table) return table.to;
    }
    return undefined;
  }

  async lastPublished(run: string | undefined, targets: readonly string[]): Promise<LastPublished[]> {
    const found = await mapAll(targets, async (to) => {
      const last = (await this.#judge(to)).replaced.find((each) => each.run !== run);
      return last?.queries === undefined ? [] : [{ to, ...last, queries: last.queries }];
    });
    return found.flat();
  }

  #log(to: string): NumberedLog<TargetEntry> {
    return new NumberedLog(this.context.store, targetFolder(to));
  }

  async #put(to: string, claim: Claim, judged: Judged): Promise<boolean> {
    const { last, held, undecided, appended, replaced } = judged;
    return this.#log(to).append(last + 1, { claim, claims: [...held, ...undecided], appended, replaced });
  }

  async #judge(to: string): Promise<Judged> {
    const log = this.#log(to);
    const last = await log.last();
    const none: Judged = { last, held: [], undecided: [], appended: [], replaced: [] };
    if (last < 0) return none;
    const [entry] = await log.read(last, last + 1);
    const { claim, claims, appended, replaced } = entry!;
    const judged = { ...none, appended, replaced };
    const runs = await mapAll(
      [...claims, claim],
      async (each) => [each, await this.context.logs.read(each.run)] as const,
    );
    return runs.reduce((sofar, [each, state]) => judgedBy(sofar, each, state), judged);
  }

  async #settleRival(rival: Claim, mine: Claim, seen: Map<string, number>): Promise<void> {
    const since = seen.get(rival.by) ?? Date.now();
    seen.set(rival.by, since);
    const waited = Date.now() - since;
    if (mine.run < rival.run || waited > this.context.patience) return this.#fence(rival);
    await sleep(Math.min(LONGEST_POLL_MS, POLL_MS + waited / 4));
  }

  /** Its entry is put in its place: then the rival's claims are dead, wherever they lie, and it makes new ones if it still lives. */
  async #fence(rival: Claim): Promise<void> {
    const state = await this.context.logs.read(rival.run);
    if (state.next === rival.entry) await this.context.logs.append(rival.run, state, { kind: 'fence' });
  }
}

/** After all names of entries, and before those of any other target. */
const PAST_DIGITS = ':';

async function firstFolder(store: ObjectStore, after: string | undefined): Promise<string | undefined> {
  for await (const [first] of store.list(`${TARGETS}/`, after))
    if (first) return first.path.slice(0, first.path.lastIndexOf('/'));
  return undefined;
}

function judgedBy(sofar: Judged, claim: Claim, state: RunState): Judged {
  if (state.next <= claim.entry) return { ...sofar, undecided: [...sofar.undecided, claim] };
  const table = state.opened?.tables.find((each) => each.table === claim.table);
  if (table && isOpen(table)) return { ...sofar, held: [...sofar.held, claim] };
  return table?.state === 'published' ? withPublished(sofar, claim, table) : sofar;
}

function withPublished(sofar: Judged, claim: Claim, table: TableEntry): Judged {
  const { run, job, name, startedAt, mode } = claim;
  if (mode === 'append') {
    const all = [...sofar.appended.filter((each) => each.run !== run), { run, job, name, startedAt }];
    return { ...sofar, appended: newestOfEach(all) };
  }
  const queries = table.queried ? { queries: table.sums?.partitions ?? 0 } : {};
  const found: Replaced = { run, publishedAt: table.changedAt, ...queries };
  const all = [...sofar.replaced.filter((each) => each.run !== run), found];
  return { ...sofar, replaced: all.sort((a, b) => compare(b.publishedAt, a.publishedAt)).slice(0, KEPT) };
}

function newestOfEach(appended: readonly Appended[]): Appended[] {
  const sorted = [...appended].sort((a, b) => compare(b.startedAt, a.startedAt));
  return sorted.filter((each, index) => sorted.slice(0, index).filter(({ name }) => name === each.name).length < KEPT);
}

function compare(a: string, b: string): number {
  return Date.parse(a) - Date.parse(b);
}

/** Whether both can't be open: a second append of one name is refused, or is the same run's. */
function excludes(mine: Claim, other: Claim): boolean {
  return mine.mode === 'replace' || other.mode === 'replace' || mine.name === other.name;
}

function usesOfOne(
  { held, appended }: Judged,
  asking: { readonly run?: string; readonly name?: string },
  { to, mode }: Pick<TableSpec, 'to' | 'mode'>,
): TargetUse[] {
  const others = held.filter(({ run }) => run !== asking.run);
  const holder = others.find((other) => mode === 'replace' || other.mode === 'replace');
  const appending = others.filter((other) => other.mode === 'append');
  const before = [...appending, ...appended]
    .filter(({ run, name }) => mode === 'append' && name === asking.name && run !== asking.run)
    .sort((a, b) => compare(b.startedAt, a.startedAt))[0];
  const use = ({ run, job, startedAt }: Appended, use: TargetUse['use']) => ({ to, use, run, job, startedAt });
  return [...(holder ? [use(holder, 'held')] : []), ...(before ? [use(before, 'appended')] : [])];
}
