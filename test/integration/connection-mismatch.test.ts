import { WorkflowNotFoundError, type WorkflowHandle } from '@temporalio/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createActivities } from '../../activities/index.js';
import { createMemoryConnector, memoryServer } from '../../src/connectors/memory/index.js';
import { createPostgresConnector } from '../../src/connectors/postgres/index.js';
import type { Connector, Log } from '../../src/connectors/types.js';
import { failureInterceptor } from '../../src/worker/activity-interceptor.js';
import { tableProgress, type TableProgress } from '../../workflows/messages.js';
import { attemptOf } from '../support/checking.js';
import { connectionTo } from '../support/connection.js';
import { startTestPostgres } from '../support/postgres.js';
import { until, WorkflowTests } from '../support/workflows.js';

/** Workers of one task queue whose connections have the same names and lead to different places. */

let tests: WorkflowTests;
beforeAll(async () => {
  tests = await WorkflowTests.start();
});
afterAll(() => tests.stop());

const log: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined };
const JOB = {
  name: 'copy',
  source: 'from',
  destination: 'to',
  parallelism: 2,
  retry: { initialInterval: '2s' },
  tables: ['s.a'],
};

/** What a worker would have of its longhaul.yaml: both names, at the servers of these names. */
function configured(from: string, to: string): ReadonlyMap<string, Connector> {
  return new Map([
    ['from', createMemoryConnector({ name: 'from', server: from })],
    ['to', createMemoryConnector({ name: 'to', server: to })],
  ]);
}

function fill(server: string, key: string): void {
  const column = { type: 'text', definition: 'text', notNull: true, generated: false };
  const rows = Array.from({ length: 40 }, (_, i) => [`${key}${i}`]);
  memoryServer(server).tables.set('s.a', { columns: [{ name: 'id', ...column }], primaryKey: ['id'], rows });
}

/** Undefined until the table's workflow is there. */
async function progressOf(table: WorkflowHandle): Promise<TableProgress | undefined> {
  return table.query(tableProgress).catch((error: unknown) => {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  });
}

test.each(['source', 'destination'] as const)(
  "a worker whose %s is another's says so, touches nothing there, and another worker goes on",
  async (side) => {
    const name = tests.temporal.unique('mismatch');
    const [right, wrong] = [`${name}-right`, `${name}-wrong`];
    fill(right, 'right-');
    fill(wrong, 'wrong-');
    const other = side === 'source' ? configured(wrong, `${right}-to`) : configured(right, `${wrong}-to`);
    let opened = false;
    const rightWorker = createActivities({ connectors: configured(right, `${right}-to`), log, worker: 'right 1@a' });
    const wrongWorker = createActivities({ connectors: other, log, worker: 'wrong 2@b' });
    // The first worker opens the run; then the other takes what there is, until it has said what is wrong with it.
    let refused = 0;
    const turn = () => (opened && refused < 2 ? wrongWorker : rightWorker);
    const activities = {
      ...rightWorker,
      openRun: async (input: Parameters<typeof rightWorker.openRun>[0]) => {
        const answer = await rightWorker.openRun(input);
        opened = true;
        return answer;
      },
      prepareTable: (input: Parameters<typeof rightWorker.prepareTable>[0]) =>
        turn()
          .prepareTable(input)
          .catch((error: unknown) => {
            refused += 1;
            throw error;
          }),
    };
    await tests.during(
      activities,
      async (queue) => {
        const handle = await tests.startJob(queue, JOB);
        const table = tests.temporal.client.workflow.getHandle(`${handle.workflowId}/s.a`);
        await until(async () => (await progressOf(table))?.phase === 'waiting for connection');
        const { note } = await table.query(tableProgress);
        const connection = side === 'source' ? 'from' : 'to';
        expect(note).toContain(`Connection "${connection}" of worker "wrong 2@b" leads to another database than`);
        await handle.result();
      },
      { activity: [failureInterceptor(log)] },
    );
    expect(
      memoryServer(`${right}-to`)
        .tables.get('s.a')!
        .rows.flat()
        .every((id) => String(id).startsWith('right-')),
    ).toBe(true);
    expect(memoryServer(`${wrong}-to`).tables.size + memoryServer(`${wrong}-to`).runs.size).toBe(0);
  },
);

test('an identity tells databases apart, not ways to the same one', async () => {
  const server = await startTestPostgres('source');
  try {
    const [one, two] = [await server.createDatabase('mismatch_one'), await server.createDatabase('mismatch_two')];
    const identity = async (name: string, url: string) => {
      await using session = await createPostgresConnector(connectionTo(name, url)).openSource(attemptOf().session());
      return await session.identity();
    };
    expect(await identity('a', one)).toBe(await identity('b', one.replace('127.0.0.1', 'localhost')));
    expect(await identity('a', one)).not.toBe(await identity('a', two));
  } finally {
    await server.stop();
  }
});
