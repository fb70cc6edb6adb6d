import { randomUUID } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import { testServers } from './servers.js';

/** The run's Temporal dev server, as one test file sees it. Workflows are told apart by their ids: use `unique`. */
export interface TestTemporal {
  /** host:port, for a worker's NativeConnection. */
  readonly address: string;
  readonly namespace: 'default';
  readonly client: Client;
  /** The Temporal CLI's path; pass `--address`. */
  readonly cli: string;
  /** A name nobody else in the run uses: for task queues and workflow ids. */
  readonly unique: (prefix: string) => string;
  /** Closes the client; the server goes on. */
  readonly stop: () => Promise<void>;
}

/** A client to the run's Temporal server. Call `stop` in `afterAll`. */
export async function startTestTemporal(): Promise<TestTemporal> {
  const { address, cli } = testServers().temporal;
  const connection = await Connection.connect({ address });
  return {
    address,
    namespace: 'default',
    client: new Client({ connection }),
    cli,
    unique: (prefix) => `${prefix}-${randomUUID()}`,
    stop: () => connection.close(),
  };
}
