import type { Verdict } from '../look.js';
import { isPublished } from '../look.js';
import { Random } from '../random.js';
import { endJob } from '../run.js';
import { Scene, type Shape } from '../scene.js';
import type { Stack } from '../stack.js';
import { changeStatistics, loseCommitted, skewStatistics, waitsForReaders, waitsForTransaction } from './steps.js';
import { Zombie } from './zombie.js';

/** What the checks find of a scenario. */
export interface Played {
  readonly verdict: Verdict;
  /** Of a job that had not finished: after what it waited for was over. */
  readonly later?: Verdict;
}

/** A job to which something is done that one rule of the commit protocol is there for. Nothing in it is left to chance. */
export interface Scenario {
  /** What is done to the job, in a line. */
  readonly about: string;
  readonly shape?: Partial<Shape>;
  /** Starts the job and strikes it; answers what the checks find. `env`: what the workers of this scenario have in theirs. */
  play(scene: Scene, env: NodeJS.ProcessEnv): Promise<Played>;
}

/** Targets without a key, so that rows that come twice are counted. */
const SHAPE: Shape = {
  destination: 'postgres',
  filled: true,
  mode: 'replace',
  publish: 'table',
  consistency: 'per-partition',
  onSnapshotLost: 'fail',
  verify: 'counts',
  tables: 1,
  rows: 3_000,
  partitions: 3,
  parallelism: 1,
  writes: false,
  seconds: 1.5,
  strikes: 1,
  keyed: false,
};

/** Plays a scenario on workers that are there already. Throws when it can't do what it is about. */
export async function play(stack: Stack, scenario: Scenario, env: NodeJS.ProcessEnv): Promise<Played> {
  await using scene = await Scene.begin(stack, new Random(1), { ...SHAPE, ...scenario.shape });
  try {
    return await scenario.play(scene, env);
  } finally {
    await endJob(scene);
  }
}

async function must(happened: Promise<boolean>, what: string): Promise<void> {
  if (!(await happened)) throw new Error(`not in time: ${what}`);
}

/** The next answer to a COMMIT of rows is lost. Until `then` has ended, nobody can connect again. */
async function loseAnswer(scene: Scene, then: () => Promise<void> = () => Promise.resolve()): Promise<void> {
  const { proxy } = scene.stack.destination;
  let lost = false;
  void proxy.loseCommitAnswer().then(() => (lost = proxy.closed = true));
  await must(
    scene.until(() => lost),
    'a COMMIT',
  );
  await then();
  proxy.closed = false;
}

export const commitAnswerLost: Scenario = {
  about: 'the answer to a COMMIT is lost',
  async play(scene) {
    await scene.start();
    await loseAnswer(scene);
    return { verdict: await scene.finish() };
  },
};

export const cutInCopy: Scenario = {
  about: "the destination's connection is cut in mid-COPY",
  async play(scene) {
    await scene.start();
    await must(scene.untilCopying(), 'a COPY');
    const [link] = scene.stack.destination.proxy.copying;
    link!.cut('reset');
    return { verdict: await scene.finish() };
  },
};

/** Milliseconds that a job may still take after it was seen waiting for a zombie. It waits for ever, or not at all. */
const ENDS_SOON = 3_000;

export const heldByZombie: Scenario = {
  about: 'a zombie stays in mid-COPY while its run is resumed',
  async play(scene, env) {
    await using zombie = await Zombie.raise(scene, env);
    await scene.start({ resume: zombie.run });
    const waits = await scene.until(() => waitsForTransaction(scene));
    const verdict = await scene.finish(waits ? ENDS_SOON : undefined);
    if (verdict.finished) return { verdict };
    await zombie.wake();
    return { verdict, later: await scene.finish() };
  },
};

export const planChanges: Scenario = {
  about: "the source's statistics change between two partitions",
  shape: { seconds: 9 },
  async play(scene) {
    await skewStatistics(scene);
    await scene.start();
    await must(scene.untilCopying(1 / 3), 'the second of three partitions');
    await changeStatistics(scene);
    return { verdict: await scene.finish() };
  },
};

export const planChangesAfterCommit: Scenario = {
  about: "the answer to a COMMIT is lost, and the source's statistics change before the next attempt",
  async play(scene) {
    await skewStatistics(scene);
    await scene.start();
    await loseAnswer(scene, () => changeStatistics(scene));
    return { verdict: await scene.finish() };
  },
};

export const zombieAfterClean: Scenario = {
  about: 'a zombie in mid-COPY; its run is discarded, another copies everything; then the zombie goes on',
  shape: { mode: 'append', publish: 'partition' },
  async play(scene, env) {
    await using zombie = await Zombie.raise(scene, env);
    const clean = { destination: 'destination', runs: [zombie.run] };
    await scene.stack.run('cleanRuns', clean);
    await scene.start();
    await scene.handle.result();
    await zombie.wake();
    return { verdict: await scene.finish() };
  },
};

export const commitsLost: Scenario = {
  about: 'while a table is copied, a partition that was committed is lost again, as by a failover to a late standby',
  shape: { seconds: 3 },
  async play(scene) {
    await scene.start();
    await must(scene.untilCopying(1 / 3), 'the second of three partitions');
    await loseCommitted(scene);
    return { verdict: await scene.finish() };
  },
};

export const oldReader: Scenario = {
  about:
    'a REPEATABLE READ reader that began in mid-copy looks at the target when it is published, or publishing waits',
  shape: { seconds: 3 },
  async play(scene) {
    const [table] = scene.tables;
    await scene.start();
    await must(scene.untilCopying(1 / 3), 'the second of three partitions');
    await using view = await scene.readers.takeView();
    scene.stack.source.proxy.pace = undefined;
    const isOver = async () => (await isPublished(scene)) || (await waitsForReaders(scene));
    await must(scene.until(isOver), 'the publishing');
    await view.look(table!);
    await view[Symbol.asyncDispose]();
    return { verdict: await scene.finish() };
  },
};
