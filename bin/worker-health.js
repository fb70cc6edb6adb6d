// Exit code 0 if the Temporal server has seen a worker of this machine (or container) poll for work in the last two minutes;
// 1, with the reason, if not. For container health checks. The task queue is argv[2], "longhaul" if none.
import { hostname } from 'node:os';
import { Client, Connection } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';

/** Temporal lists pollers for five minutes after they were last seen; an idle poll lasts about one. */
const LATELY = 120_000;

const taskQueue = process.argv[2] ?? 'longhaul';

async function isPolling() {
  const { connectionOptions, namespace = 'default' } = loadClientConnectConfig();
  const connection = await Connection.connect({ ...connectionOptions, connectTimeout: '5s' });
  try {
    const { workflowService } = new Client({ connection, namespace });
    const { pollers } = await workflowService.describeTaskQueue({
      namespace,
      taskQueue: { name: taskQueue },
      taskQueueType: 1,
    });
    // The SDK's default identity is pid@hostname.
    return pollers.some(
      ({ identity, lastAccessTime }) => identity.includes(hostname()) && isLate(lastAccessTime) === false,
    );
  } finally {
    await connection.close();
  }
}

function isLate(lastAccessTime) {
  return Date.now() - Number(lastAccessTime?.seconds ?? 0) * 1000 > LATELY;
}

try {
  if (!(await isPolling())) throw new Error(`no worker of ${hostname()} polls the task queue ${taskQueue}`);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
