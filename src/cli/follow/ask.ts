import type { WorkflowHandle } from '@temporalio/client';
import { defaultPayloadConverter } from '@temporalio/common';
import type { CopyProgress } from '../../core/activities.js';
import { jobProgress, tableProgress, type JobProgress } from '../../../workflows/messages.js';
import { withPatience, type JobHandle } from './job-handle.js';
import { isRunning, NOTHING_IN_FLIGHT, type InFlight, type JobView, type TableView } from './view.js';

/** Children asked in one look; with more running, they take turns and the parent's last word stands for the others. */
const CHILDREN_A_LOOK = 16;

type ParentTable = JobProgress['tables'][number];

/** Looks at a job: its own progress, then that of its running tables. One look costs at most 1 + 2 × 16 small requests. */
export class Looker {
  #turn = 0;
  readonly #known = new Map<string, TableView>();

  constructor(private readonly job: JobHandle) {}

  /** @throws when no worker answers, or Temporal doesn't. */
  async look(): Promise<JobView> {
    const progress = await queryJob(this.job);
    const asked = this.#nextChildren(progress.tables);
    await Promise.all(asked.map(async (table) => this.#known.set(table.table, await this.#askChild(table))));
    const tables = progress.tables.map((table) => this.#bestOf(table));
    const job = { ...progress, tables: tables.map(({ inFlight: _, ...table }) => table) };
    return { job, tables, at: Date.now() };
  }

  #nextChildren(tables: readonly ParentTable[]): ParentTable[] {
    const running = tables.filter((table) => table.child !== undefined && isRunning(table));
    if (running.length <= CHILDREN_A_LOOK) return running;
    const from = this.#turn % running.length;
    this.#turn += CHILDREN_A_LOOK;
    return [...running.slice(from), ...running.slice(0, from)].slice(0, CHILDREN_A_LOOK);
  }

  /** The child's own word while the parent takes it to be running; after that the parent's is the last. */
  #bestOf(table: ParentTable): TableView {
    const known = isRunning(table) ? this.#known.get(table.table) : undefined;
    return known ?? { ...table, inFlight: NOTHING_IN_FLIGHT };
  }

  /** A child that ends or continues as new at this moment doesn't answer: its last word stands. */
  async #askChild(table: ParentTable): Promise<TableView> {
    const { client } = this.job;
    const child = client.workflow.getHandle(table.child!);
    try {
      const [own, inFlight] = await withPatience(client, () =>
        Promise.all([child.query(tableProgress), readInFlight(child)]),
      );
      return { ...own, child: table.child!, inFlight };
    } catch {
      return this.#known.get(table.table) ?? { ...table, inFlight: NOTHING_IN_FLIGHT };
    }
  }
}

/** The parent's own progress. Also answered after the job ended, as long as a worker is there. */
export function queryJob({ client, handle }: JobHandle): Promise<JobProgress> {
  return withPatience(client, () => handle.query(jobProgress));
}

/** The sum over the pending attempts' heartbeats: one request, whatever their number. */
async function readInFlight(child: WorkflowHandle): Promise<InFlight> {
  const { raw } = await child.describe();
  return (raw.pendingActivities ?? [])
    .filter(({ activityType }) => activityType?.name === 'copyPartition')
    .flatMap(({ heartbeatDetails }) => heartbeatDetails?.payloads?.slice(0, 1) ?? [])
    .map((payload) => defaultPayloadConverter.fromPayload<CopyProgress>(payload))
    .reduce((sum, { rows, bytes }) => ({ rows: sum.rows + rows, bytes: sum.bytes + bytes }), NOTHING_IN_FLIGHT);
}
