import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { spawnSupervised, type Supervised } from '../../src/devstack/supervised.js';
import { metBy, notReached, writeFailurePlan, type FailurePlan } from '../chaos/failure-plan.js';

/** Worker processes (dist/test/chaos/worker.js) that fail by plan. `folder` has their longhaul.yaml. */
export class FailingProcesses {
  readonly #started: Supervised[] = [];
  #plans = 0;

  constructor(
    private readonly folder: string,
    private readonly temporalAddress: string,
  ) {}

  /** A worker process; with failures, one that kills itself. Resolves when it was started. */
  async start(workflows?: FailurePlan['workflows']): Promise<FailingWorker> {
    const number = ++this.#plans;
    const told = join(this.folder, `told-${number}`);
    const plan = join(this.folder, `plan-${number}.json`);
    writeFailurePlan(plan, { workflows: workflows ?? {}, told });
    const supervised = await this.#spawn(plan);
    return new FailingWorker(supervised, { workflows: workflows ?? {}, told });
  }

  log(): Promise<string> {
    return readFile(join(this.folder, 'worker.log'), 'utf8');
  }

  async stop(): Promise<void> {
    await Promise.all(this.#started.map((worker) => worker.stop()));
  }

  async #spawn(plan: string): Promise<Supervised> {
    const env = { ...process.env, TEMPORAL_ADDRESS: this.temporalAddress, LONGHAUL_TEST_FAILURES: plan };
    const options = { cwd: this.folder, env, stopSignal: 'SIGTERM', graceMs: 15_000 } as const;
    const args = [resolve('dist/test/chaos/worker.js'), join(this.folder, 'longhaul.yaml')];
    const logFile = join(this.folder, 'worker.log');
    const supervised = await spawnSupervised(process.execPath, args, { ...options, logFile });
    this.#started.push(supervised);
    return supervised;
  }
}

/** Looks every so many milliseconds: many wait at the same time, and what they ask takes the machine's time from what they wait for. */
export async function lookUntil<T>(look: () => Promise<T>, isEnough: (seen: T) => boolean, every = 1_500): Promise<T> {
  for (;;) {
    const seen = await look();
    if (isEnough(seen)) return seen;
    await sleep(every);
  }
}

export class FailingWorker {
  constructor(
    private readonly supervised: Supervised,
    private readonly plan: FailurePlan,
  ) {}

  async stop(): Promise<void> {
    await this.supervised.stop();
  }

  /**
   * Resolves when all has failed as planned, and the process has killed itself. Rejects naming what was not reached within `limit`
   * milliseconds.
   */
  async crashed(limit: number): Promise<void> {
    const deadline = Date.now() + limit;
    const left = await lookUntil(
      () => Promise.resolve(notReached(this.plan)),
      (each) => each.length === 0 || Date.now() > deadline,
      250,
    );
    if (left.length > 0) throw new Error(`never reached:\n${left.join('\n')}`);
    const { signal } = await this.supervised.exited;
    if (signal !== 'SIGKILL') throw new Error(`the worker ended by ${signal}`);
  }

  /** Where what happened, in order. */
  met(): { readonly point: string; readonly how: 'lost its connection' | 'crashed' }[] {
    const met = new Set<string>();
    return metBy(this.plan).map(({ workflow, point }) => {
      const crashed = met.has(workflow) || this.plan.workflows[workflow]?.disconnect === undefined;
      met.add(workflow);
      return { point, how: crashed ? 'crashed' : 'lost its connection' };
    });
  }
}
