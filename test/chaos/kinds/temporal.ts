import { setTimeout as sleep } from 'node:timers/promises';
import { WorkflowNotFoundError } from '@temporalio/client';
import { begun } from '../attempts.js';
import { eventually } from '../hand.js';
import type { FaultKind } from '../kind.js';
import type { Scene } from '../scene.js';
import { closeLine } from '../stack.js';

/** A Temporal server that dies, does not answer, or has forgotten everything. */

/** Events of the job's history. */
async function events(scene: Scene): Promise<number> {
  return (await scene.handle.fetchHistory()).events?.length ?? 0;
}

/** Milliseconds that the harness's own connection may take to find the server again. */
const FOUND_WITHIN = 60_000;

/** Until the server answers again. */
async function answering(scene: Scene): Promise<void> {
  const ask = () => scene.stack.client.workflowService.describeNamespace({ namespace: 'default' });
  const answered = await eventually(scene, () => ask().then(yes, no), FOUND_WITHIN);
  if (!answered) throw new Error(`Temporal has not answered within ${FOUND_WITHIN / 1000} s`);
}

const yes = () => true;
const no = () => false;

/** All that it has answered has to be there again. */
async function killed(scene: Scene): Promise<boolean> {
  if (!(await scene.untilCopying(scene.random.next() * 0.7))) return false;
  await scene.moment();
  const [told, busy] = [await events(scene), await begun(scene)];
  if (busy.length === 0) return false;
  await scene.stack.killTemporal();
  await sleep(scene.random.int(0, 6_000));
  await scene.stack.startTemporalAgain();
  await answering(scene);
  const known = await events(scene);
  if (known < told) throw new Error(`Temporal had ${told} events of the job, and has ${known} after it was killed`);
  return true;
}

const sigkill: FaultKind = {
  name: 'temporal-sigkill',
  about: 'the Temporal server is killed in mid-copy, and started again on the same database file',
  async run(scene) {
    await scene.start();
    for (let kills = scene.times(1, 2); kills > 0; kills--) if (await killed(scene)) scene.struck();
  },
};

/** Longer than a heartbeat timeout; one of a few takes a whole minute. */
function outage({ random }: Scene): number {
  return random.chance(0.1) ? 60_000 : random.int(7_000, 18_000);
}

/** Neither refused nor answered. */
const frozen: FaultKind = {
  name: 'temporal-frozen',
  about: 'the Temporal server does not answer for some seconds, at most a minute: its process is frozen',
  async run(scene) {
    await scene.start();
    if (!(await scene.untilCopying(scene.random.next() * 0.5))) return;
    const busy = await begun(scene);
    const { pid } = scene.stack.temporal;
    process.kill(pid, 'SIGSTOP');
    await sleep(outage(scene)).finally(() => process.kill(pid, 'SIGCONT'));
    await answering(scene);
    if (busy.length > 0) scene.struck();
  },
};

const unreachable: FaultKind = {
  name: 'temporal-unreachable',
  about:
    'no worker reaches the Temporal server for some seconds, at most a minute: their connections are cut and refused',
  async run(scene) {
    await scene.start();
    if (!(await scene.untilCopying(scene.random.next() * 0.5))) return;
    const busy = await begun(scene);
    const { alive } = scene.stack;
    const refused = () => alive.reduce((sum, { line }) => sum + line.refused, 0);
    const before = refused();
    const cut = alive.some(({ line }) => line.links.some(({ open }) => open));
    for (const { line } of alive) closeLine(line);
    await sleep(outage(scene));
    for (const { line } of alive) line.closed = false;
    if (busy.length > 0 && (cut || refused() > before)) scene.struck();
  },
};

/** The server knows nothing of the job. */
async function isForgotten({ handle }: Scene): Promise<boolean> {
  return handle.describe().then(no, (error: unknown) => error instanceof WorkflowNotFoundError);
}

/** The worker of the first life is no part of the stack any more when this resolves. */
const deleted: FaultKind = {
  name: 'temporal-deleted',
  about:
    'the Temporal database is lost in mid-copy; the job is started again with `resume`, while a worker of the first life wakes',
  shape: { consistency: 'per-partition' },
  async run(scene) {
    const { stack, random } = scene;
    await scene.start();
    if (!(await scene.untilCopying(random.next() * 0.7)) || (await scene.hasEnded())) return;
    const [old, ...others] = stack.alive;
    const zombie = random.chance(0.5);
    if (zombie) old!.freeze();
    const busy = await begun(scene);
    await stack.killTemporal();
    await stack.deleteTemporal();
    await stack.startTemporalAgain();
    await answering(scene);
    const forgotten = await isForgotten(scene);
    for (const worker of zombie ? others : stack.alive) {
      await worker.kill(random.pick(['SIGKILL', 'SIGTERM'] as const));
      await stack.startWorker();
    }
    await scene.start({ resume: scene.run });
    if (busy.length > 0 && forgotten) scene.struck();
    await scene.untilCopying();
    if (zombie) old!.thaw();
    await sleep(1_500);
  },
};

export const TEMPORAL_KINDS: readonly FaultKind[] = [sigkill, frozen, unreachable, deleted];
