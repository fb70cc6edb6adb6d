import { afterAll, beforeAll, expect, test } from 'vitest';
import { createActivities } from '../../activities/index.js';
import { createPostgresConnector } from '../../src/connectors/postgres/index.js';
import type { Connector, DestinationSession, Log } from '../../src/connectors/types.js';
import { failureInterceptor } from '../../src/worker/activity-interceptor.js';
import { jobProgress } from '../../workflows/messages.js';
import { connectionTo } from '../support/connection.js';
import { runSql, startTestPostgres, type TestPostgres } from '../support/postgres.js';
import { until, WorkflowTests, type JobHandle } from '../support/workflows.js';

/** Real activities over real Postgres, whose attempts are ended in a moment of the test's choice. */

let tests: WorkflowTests;
let servers: readonly [TestPostgres, TestPostgres];
let urls: { source: string; destination: string };
beforeAll(async () => {
  tests = await WorkflowTests.start();
  servers = [await startTestPostgres('source'), await startTestPostgres('destination')];
  const [source, destination] = [
    await servers[0].createDatabase('worker_endings'),
    await servers[1].createDatabase('worker_endings'),
  ];
  urls = { source, destination };
  await runSql(source, 'CREATE TABLE items (id int PRIMARY KEY)');
  await runSql(source, 'INSERT INTO items SELECT generate_series(1, 500)');
});
afterAll(async () => {
  await Promise.all([...servers.map((server) => server.stop()), tests.stop()]);
});

const log: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined };

/** What a destination session does instead; `held` waits until the attempt is ended, and ends as a driver does then. */
type Instead = (session: DestinationSession, held: () => Promise<never>) => void;

function destination(instead: Instead): Connector {
  const connector = createPostgresConnector(connectionTo('to', urls.destination));
  return {
    ...connector,
    openDestination: async (options) => {
      const session = await connector.openDestination(options);
      instead(session, () => driverWait(options.signal));
      return session;
    },
  };
}

function driverWait(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = (): void => reject(new Error('57014: canceling statement due to user request'));
    if (signal.aborted) fail();
    else signal.addEventListener('abort', fail, { once: true });
  });
}

function activitiesOf(instead: Instead) {
  const from = createPostgresConnector(connectionTo('from', urls.source));
  const connectors = new Map([
    ['from', from],
    ['to', destination(instead)],
  ]);
  return createActivities({ connectors, log });
}

const interceptors = { activity: [failureInterceptor(log)] };

const job = (to: string): object => ({
  ...{ name: 'copy', source: 'from', destination: 'to', tables: [{ from: 'public.items', to }] },
  retry: { maximumAttempts: 1, heartbeatTimeout: '5s' },
});

async function eventsOf(handle: Pick<JobHandle, 'fetchHistory'>) {
  return (await handle.fetchHistory()).events!;
}

test('a swap that commits while its job is cancelled is told as it is: published', async () => {
  let swapped = false;
  const activities = activitiesOf((session, held) => {
    const publish = session.publish.bind(session);
    session.publish = async (record, meter) => {
      if (record.state === 'published') return publish(record, meter);
      await publish(record, meter);
      swapped = true;
      // Its COMMIT went through, and the answer is lost.
      return held();
    };
  });
  await tests.during(
    activities,
    async (queue) => {
      const handle = await tests.startJob(queue, job('public.cancelled'));
      await until(() => swapped);
      await handle.cancel();
      await expect(handle.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });
      const { phase, tables } = await handle.query(jobProgress);
      expect(phase).toBe('cancelled');
      expect(tables).toMatchObject([{ phase: 'published', rows: 500 }]);
    },
    interceptors,
  );
  expect(await runSql(urls.destination, 'SELECT count(*)::int AS n FROM public.cancelled')).toEqual([{ n: 500 }]);
});

test('a cancellation before the swap leaves the target as it was, and says so', async () => {
  let waiting = false;
  const activities = activitiesOf((session, held) => {
    session.publish = () => {
      waiting = true;
      return held();
    };
  });
  await tests.during(
    activities,
    async (queue) => {
      const handle = await tests.startJob(queue, job('public.never'));
      await until(() => waiting);
      await handle.cancel();
      await expect(handle.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });
      expect((await handle.query(jobProgress)).tables).toMatchObject([{ phase: 'cancelled' }]);
    },
    interceptors,
  );
  expect(await runSql(urls.destination, `SELECT to_regclass('public.never') AS at`)).toEqual([{ at: null }]);
});

test.each(['prepare', 'begin', 'build', 'publish'] as const)(
  'a worker that shuts down in the middle of %s hands it back: the next one goes on, and nothing has failed',
  async (step) => {
    const to = `public.${step}_target`;
    let stuck = true;
    let waiting = 0;
    const activities = activitiesOf((session, held) => {
      if (!stuck) return;
      session[step] = () => {
        waiting += 1;
        return held();
      };
    });
    const queue = tests.temporal.unique('queue');
    const first = await tests.worker(queue, activities, interceptors);
    const handle = await first.runUntil(async () => {
      const started = await tests.startJob(queue, job(to));
      await until(() => waiting > 0);
      return started;
    });
    stuck = false;
    const second = await tests.worker(queue, activities, interceptors);
    expect(await second.runUntil(handle.result())).toMatchObject({ phase: 'complete', rows: 500 });
    const child = tests.temporal.client.workflow.getHandle(`${handle.workflowId}/public.items`);
    const failed = (await eventsOf(child)).flatMap((event) => event.activityTaskFailedEventAttributes ?? []);
    const types = failed.map(({ failure }) => failure?.applicationFailureInfo?.type);
    // An attempt at a partition returns; elsewhere a failure of this type tells the workflow.
    expect(types).toEqual(step === 'begin' ? [] : ['HandedBack']);
  },
);
