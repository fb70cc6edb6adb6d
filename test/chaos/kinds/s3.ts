import type { FaultKind } from '../kind.js';
import { S3_LAKES } from '../lakes.js';
import type { Link, Moment } from '../proxy.js';
import type { Scene } from '../scene.js';
import { MET_WITHIN } from './links.js';

/** What happens to the S3 server that a lake lies in, and on the way to it. */

/** As it is without faults. */
async function calm({ stack }: Scene): Promise<void> {
  const { proxy, s3 } = stack.lakes!;
  proxy.disarm();
  for (const link of proxy.links) link.resume();
  if (!s3.running) await s3.restart();
}

/** The next connection that is about to put an object, or has put one, held there; undefined when none comes. */
async function held(scene: Scene, moment: Moment, of?: RegExp): Promise<Link | undefined> {
  const { proxy } = scene.stack.lakes!;
  let link: Link | undefined;
  void proxy.next(moment, of).then((found) => (link = found));
  await scene.until(() => link !== undefined, MET_WITHIN);
  proxy.disarm();
  return link;
}

/** Data files, what the ledger says, and what publishes: as they come, or one of them by choice. */
const OBJECTS = [/^/, /^/, /\.parquet/, /\/receipts\//, /\/_delta_log\/|\/versions\/|\/manifest/];

function lostKind(name: string, moment: Moment, about: string): FaultKind {
  return {
    name,
    about,
    repeats: true,
    into: S3_LAKES,
    async run(scene) {
      await scene.start();
      for (let losses = scene.times(2, 4); losses > 0; losses--) {
        const link = await held(scene, moment, scene.random.pick(OBJECTS));
        if (!link?.open) continue;
        link.cut(scene.random.pick(['reset', 'fin']));
        scene.struck();
      }
    },
    cleanUp: calm,
  };
}

const STALLED = /"code":"Stalled"/;

const stalled: FaultKind = {
  name: 's3-stalled',
  about: 'nothing passes on a connection to S3 that puts, longer than stallTimeout; later it may pass again, too late',
  into: S3_LAKES,
  async run(scene) {
    const { random } = scene;
    await scene.start();
    const link = await held(scene, random.pick(['putting', 'put'] as const), random.pick(OBJECTS));
    if (link === undefined) return;
    const before = await scene.logged(STALLED);
    await scene.until(async () => (await scene.logged(STALLED)) > before, MET_WITHIN);
    scene.struck();
    if (random.chance(0.7)) link.resume();
    else link.cut('reset');
  },
  cleanUp: calm,
};

/** Uploads in parts, of which each has two or more, or puts of any kind. */
const UPLOADS = [/[?&]partNumber=1&|[?&]partNumber=1$/, /[?&]partNumber=2/, /^/];

const crash: FaultKind = {
  name: 's3-crash',
  about: 'the S3 server is killed while a part of a data file is on its way to it, and started again',
  into: S3_LAKES,
  // Rows of 3 kB that can't be compressed: files of more than a part.
  shape: { tables: 1, rows: 6_000, wide: 48, partitions: 2, parallelism: 2, seconds: 1, writes: false },
  async run(scene) {
    const { s3 } = scene.stack.lakes!;
    await scene.start();
    for (let times = scene.times(1, 2); times > 0; times--) {
      const link = await held(scene, scene.random.pick(['putting', 'put'] as const), scene.random.pick(UPLOADS));
      if (link === undefined) continue;
      await s3.kill();
      link.resume();
      scene.struck();
      await scene.moment(4_000);
      await s3.restart();
    }
  },
  cleanUp: calm,
};

export const S3_KINDS: readonly FaultKind[] = [
  lostKind('s3-put-lost', 'putting', 'the connection to S3 is gone before a PUT has reached it'),
  lostKind('s3-answer-lost', 'put', 'S3 has put an object, and the connection is gone before its answer arrives'),
  stalled,
  crash,
];
