import { setTimeout as sleep } from 'node:timers/promises';
import { childWorkflowId } from '../../../workflows/ids.js';
import { FaultProxy } from '../proxy.js';
import type { Scene } from '../scene.js';
import type { WorkerProcess } from '../stack.js';

/**
 * A worker that goes on with an attempt that everybody else has given up: it has servers' proxies and a task queue of its own, is cut
 * off from Temporal, and hears neither cancellations nor that its workflow is gone. Until `wake`, its attempt waits in mid-COPY.
 */
export class Zombie implements AsyncDisposable {
  /** Of the job that it copied for. */
  run = '';

  private constructor(
    private readonly scene: Scene,
    private readonly proxies: { temporal: FaultProxy; source: FaultProxy; destination: FaultProxy },
    private readonly worker: WorkerProcess,
    private readonly queue: string,
  ) {}

  /** Starts the scene's job on a worker of its own, and makes a zombie of that as soon as it copies. The job's workflows are terminated. */
  static async raise(scene: Scene, env: NodeJS.ProcessEnv): Promise<Zombie> {
    const { stack } = scene;
    const [temporal, source, destination] = await Promise.all(
      [Number(stack.temporal.address.split(':')[1]), stack.source.server.port, stack.destination.server.port].map(
        (port) => FaultProxy.start(port),
      ),
    );
    const proxies = { temporal: temporal!, source: source!, destination: destination! };
    const queue = `${scene.name}-zombie`;
    const worker = await stack.startWorker({
      ...env,
      CHAOS_TASK_QUEUE: queue,
      TEMPORAL_ADDRESS: `127.0.0.1:${proxies.temporal.port}`,
      CHAOS_SOURCE_URL: through(stack.source.url(), proxies.source),
      CHAOS_DESTINATION_URL: through(stack.destination.url(), proxies.destination),
    });
    const zombie = new Zombie(scene, proxies, worker, queue);
    try {
      await zombie.#rise();
      return zombie;
    } catch (error) {
      await zombie[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #rise(): Promise<void> {
    const { scene, proxies } = this;
    const { client } = scene.stack;
    proxies.source.pace = BYTES_A_SECOND;
    const workflowId = `${scene.name}-first`;
    const options = { taskQueue: this.queue, workflowId, args: [scene.job({ retry: PATIENT })] };
    const handle = await client.workflow.start('copyJob', options);
    this.run = handle.firstExecutionRunId;
    scene.adopt(handle, this.run);
    const { source, destination } = proxies;
    const copies = () => source.copying.length > 0 && destination.copying.length > 0;
    if (!(await scene.until(copies))) throw new Error('the zombie has not begun to copy');
    for (const link of source.copying) link.stall();
    proxies.temporal.closed = true;
    for (const link of proxies.temporal.links) link.cut('reset');
    const children = scene.tables.map((table, index) => childWorkflowId(workflowId, table, index));
    for (const id of [workflowId, ...children]) await client.workflow.getHandle(id).terminate('its worker is a zombie');
  }

  /** Its attempt goes on. Resolves when that has ended and its sessions are gone. */
  async wake(): Promise<void> {
    const { source, destination } = this.proxies;
    source.pace = undefined;
    for (const link of source.links) link.resume();
    const deadline = Date.now() + ENDS_WITHIN;
    while (source.links.length + destination.links.length > 0) {
      if (Date.now() > deadline) throw new Error('the zombie has not ended its attempt');
      await sleep(50);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.worker.kill();
    await Promise.all(Object.values(this.proxies).map((proxy) => proxy.stop()));
  }
}

/** Slow enough for the zombie to be in mid-COPY when it is looked at. */
const BYTES_A_SECOND = 30_000;

const ENDS_WITHIN = 20_000;

/** No silence of its servers ends its attempt. */
const PATIENT = { stallTimeout: '1h', firstByteTimeout: '1h' };

function through(url: string, proxy: FaultProxy): string {
  const proxied = new URL(url);
  proxied.port = String(proxy.port);
  return proxied.href;
}
