import { afterAll, beforeAll, expect, test } from 'vitest';
import { createActivities } from '../../activities/index.js';
import { createMemoryConnector, memoryServer } from '../../src/connectors/memory/index.js';
import type { Connector, Log } from '../../src/connectors/types.js';
import { LonghaulError } from '../../src/core/errors.js';
import { failureInterceptor } from '../../src/worker/activity-interceptor.js';
import { failureOfWorkflow, WorkflowTests } from '../support/workflows.js';

/** Real activities over the in-memory connector, whose source finds itself changed when it is asked before publishing. */

let tests: WorkflowTests;
beforeAll(async () => {
  tests = await WorkflowTests.start();
});
afterAll(() => tests.stop());

const log: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined };

function changing(connector: Connector, asked: string[]): Connector {
  return {
    ...connector,
    openSource: async (options) => {
      const session = await connector.openSource(options);
      session.verifyUnchanged = ({ state }) => {
        asked.push(state);
        return Promise.reject(new LonghaulError('SourceChanged', 'A partition was attached.'));
      };
      return session;
    },
  };
}

test('a source that changed after the last attempt is not published', async () => {
  const name = tests.temporal.unique('server');
  const column = { name: 'id', type: 'text', definition: 'text', notNull: true, generated: false };
  const rows = Array.from({ length: 20 }, (_, i) => [`${i}`]);
  memoryServer(`${name}-from`).tables.set('s.a', { columns: [column], primaryKey: ['id'], rows });
  const asked: string[] = [];
  const connectors = new Map([
    ['from', changing(createMemoryConnector({ name: 'from', server: `${name}-from` }), asked)],
    ['to', createMemoryConnector({ name: 'to', server: `${name}-to` })],
  ]);
  const job = { name: 'copy', source: 'from', destination: 'to', onFailure: 'fail', tables: ['s.a'] };
  const activities = createActivities({ connectors, log });
  await tests.during(
    activities,
    async (queue) => {
      const failure = await failureOfWorkflow(await tests.startJob(queue, job));
      expect(failure.message).toContain('A partition was attached.');
    },
    { activity: [failureInterceptor(log)] },
  );
  expect(asked).toEqual(['open']);
  expect(memoryServer(`${name}-to`).tables.get('s.a')?.rows ?? []).toEqual([]);
});
