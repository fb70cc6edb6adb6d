import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { spawnSupervised, type Supervised } from '../../src/devstack/supervised.js';
import type { FailPoint } from '../../src/core/fail-points.js';
import { writeFailurePlan, type FailurePlan } from '../chaos/failure-plan.js';

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
    const { supervised, told } = await this.#spawn(workflows && { workflows });
    return new FailingWorker(supervised, workflows ?? {}, told);
  }

  /** One that stops as SIGSTOP does it when all these workflows have come to their points, and goes on from there when it is thawed. */
  async startFrozen(points: Readonly<Record<string, FailPoint>>): Promise<FrozenWorker> {
    const workflows = Object.fromEntries(Object.entries(points).map(([id, stop]) => [id, { stop }]));
    const { supervised, told } = await this.#spawn({ workflows, freeze: true });
    return new FrozenWorker(supervised, workflows, told);
  }

  log(): Promise<string> {
    return readFile(join(this.folder, 'worker.log'), 'utf8');
  }

  async stop(): Promise<void> {
    await Promise.all(this.#started.map((worker) => worker.stop()));
  }

  async #spawn(planned: Omit<FailurePlan, 'told'> | undefined): Promise<{ supervised: Supervised; told: string }> {
    const number = ++this.#plans;
    const told = join(this.folder, `told-${number}`);
    const plan = join(this.folder, `plan-${number}.json`);
    await writeFile(told, '');
    if (planned) writeFailurePlan(plan, { ...planned, told });
    const env = {
      ...process.env,
      TEMPORAL_ADDRESS: this.temporalAddress,
      ...(planned && { LONGHAUL_TEST_FAILURES: plan }),
    };
    const options = { cwd: this.folder, env, stopSignal: 'SIGTERM', graceMs: 15_000 } as const;
    const args = [resolve('dist/test/chaos/worker.js'), join(this.folder, 'longhaul.yaml')];
    const logFile = join(this.folder, 'worker.log');
    const supervised = await spawnSupervised(process.execPath, args, { ...options, logFile });
    this.#started.push(supervised);
    return { supervised, told };
  }
}

/** Looks again and again, with pauses: many wait at the same time, and what they ask takes the machine's time from what they wait for. */
export async function lookUntil<T>(look: () => Promise<T>, isEnough: (seen: T) => boolean): Promise<T> {
  for (;;) {
    const seen = await look();
    if (isEnough(seen)) return seen;
    await sleep(LOOK_EVERY);
  }
}

const LOOK_EVERY = 500;

class PlannedWorker {
  constructor(
    protected readonly supervised: Supervised,
    protected readonly workflows: FailurePlan['workflows'],
    protected readonly told: string,
  ) {}

  async stop(): Promise<void> {
    await this.supervised.stop();
  }

  /** Resolves when all has come to its points. Rejects naming what was not reached within `limit` milliseconds. */
  protected async reached(limit: number): Promise<void> {
    const deadline = Date.now() + limit;
    const left = await lookUntil(
      () => this.#left(),
      (each) => each.length === 0 || Date.now() > deadline,
    );
    if (left.length > 0) throw new Error(`never reached:\n${left.join('\n')}`);
  }

  async #left(): Promise<string[]> {
    const lines = (await readFile(this.told, 'utf8')).split('\n').map((line) => line.split('\t')[0]);
    return Object.entries(this.workflows).flatMap(([id, { disconnect, stop }]) => {
      const wanted = disconnect === undefined ? [stop] : [disconnect, stop];
      return wanted.slice(lines.filter((each) => each === id).length).map((point) => `${point} (${id})`);
    });
  }
}

export class FrozenWorker extends PlannedWorker {
  /** Resolves when it stands at all its points, and is frozen. */
  frozen(limit: number): Promise<void> {
    return this.reached(limit);
  }

  thaw(): void {
    process.kill(this.supervised.pid, 'SIGCONT');
  }
}

export class FailingWorker extends PlannedWorker {
  /**
   * Resolves when all has failed as planned, and the process has killed itself. Rejects naming what was not reached within `limit`
   * milliseconds.
   */
  async crashed(limit: number): Promise<void> {
    await this.reached(limit);
    const { signal } = await this.supervised.exited;
    if (signal !== 'SIGKILL') throw new Error(`the worker ended by ${signal}`);
  }

  /** Where what happened, in order. */
  async met(): Promise<{ readonly point: string; readonly how: 'lost its connection' | 'crashed' }[]> {
    const met = new Set<string>();
    const lines = (await readFile(this.told, 'utf8')).trim().split('\n');
    return lines.map((line) => {
      const [id = '', point = ''] = line.split('\t');
      const crashed = met.has(id) || this.workflows[id]?.disconnect === undefined;
      met.add(id);
      return { point, how: crashed ? 'crashed' : 'lost its connection' };
    });
  }
}
