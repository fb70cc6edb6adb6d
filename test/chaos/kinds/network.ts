import { setTimeout as sleep } from 'node:timers/promises';
import type { FaultKind } from '../kind.js';
import { LogTail } from '../log.js';
import type { Cut, FaultProxy, Link } from '../proxy.js';
import type { Scene } from '../scene.js';
import { calm, held, MET_WITHIN, SIDES } from './links.js';

/** What happens between a worker and its servers. */

/** The partition's next attempt finds the receipt: so the commit had taken effect. */
const FOUND = /Partition was committed already/;

const commitAnswerLost: FaultKind = {
  name: 'commit-answer-lost',
  repeats: true,
  about: "the destination's COMMIT takes effect, and the connection is gone before its answer arrives",
  async run(scene) {
    await scene.start();
    for (let losses = scene.times(2, 4); losses > 0; losses--) {
      const found = await scene.logged(FOUND);
      const link = await held(scene, 'committed');
      link?.cut(scene.random.pick(['reset', 'fin']));
      if (link && (await scene.until(async () => (await scene.logged(FOUND)) > found))) scene.struck();
    }
  },
  cleanUp: calm,
};

/** Answers whether the destination's log says that the session's transaction was open when its connection went. */
async function cutInTransaction(scene: Scene, link: Link): Promise<boolean> {
  const { destination } = scene.stack;
  const [session] = await destination.query<{ pid: number }>(
    'SELECT pid FROM pg_stat_activity WHERE client_port = $1 AND xact_start IS NOT NULL',
    [link.port],
  );
  const log = await LogTail.begin(destination.logFile);
  link.cut(scene.random.pick(['reset', 'fin']));
  if (session === undefined) return false;
  const told = new RegExp(`\\[${session.pid}\\] LOG:  unexpected EOF on client connection with an open transaction`);
  return scene.until(async () => (await log.count(told)) > 0, 5_000);
}

const commitLost: FaultKind = {
  name: 'commit-lost',
  repeats: true,
  about: 'the connection is gone between COPY and COMMIT: the COMMIT never reaches the destination',
  async run(scene) {
    await scene.start();
    for (let losses = scene.times(2, 4); losses > 0; losses--) {
      const link = await held(scene, scene.random.pick(['copied', 'committing']));
      if (link?.open && (await cutInTransaction(scene, link))) scene.struck();
    }
  },
  cleanUp: calm,
};

/** Ends connections in mid-COPY, on either side. */
function cutKind(name: string, how: Cut, about: string): FaultKind {
  return {
    name,
    repeats: true,
    about,
    async run(scene) {
      await scene.start();
      for (let cuts = scene.times(3, 5); cuts > 0; cuts--) {
        const { proxy } = scene.stack.database(scene.random.pick(SIDES));
        if (!(await scene.until(() => proxy.copying.length > 0, MET_WITHIN))) break;
        await scene.moment(300);
        const copying = proxy.copying.filter(({ open }) => open);
        if (copying.length === 0) continue;
        scene.random.pick(copying).cut(how);
        scene.struck();
      }
    },
  };
}

const STALLED = /"code":"Stalled"/;

const stalled: FaultKind = {
  name: 'copy-stalled',
  about: 'nothing passes on a copying connection until stallTimeout has ended the attempt; later it may pass again',
  shape: { verify: 'counts' },
  async run(scene) {
    const { random } = scene;
    await scene.start();
    if (!(await scene.untilCopying(random.next() / 2))) return;
    const { proxy } = scene.stack.database(random.pick(SIDES));
    const wanted = random.int(1, scene.shape.parallelism);
    await scene.until(() => proxy.copying.length >= wanted, 3_000);
    const links = proxy.copying.slice(0, wanted);
    if (links.length === 0) return;
    for (const link of links) link.stall();
    const ended = async () => (await scene.logged(STALLED)) >= links.length;
    await scene.until(ended, MET_WITHIN);
    scene.struck(Math.min(links.length, await scene.logged(STALLED)));
    // Its backend may go on, as a zombie, or stay where it is until the proxy lets go of it.
    if (random.chance(0.5)) for (const link of links) link.resume();
    else await scene.moment();
  },
  cleanUp: calm,
};

/** Bytes a second of a connection that still moves often enough for stallTimeout. */
const SLOW = { pace: 40_000, delay: 150 };

const slow: FaultKind = {
  name: 'network-slow',
  about: 'answers take longer for a while, and rows come in drops',
  async run(scene) {
    await scene.start();
    for (let times = scene.times(2, 3); times > 0; times--) {
      const { proxy } = scene.stack.database(scene.random.pick(SIDES));
      if (!(await scene.until(() => proxy.copying.length > 0, MET_WITHIN))) break;
      if (await slowDown(scene, proxy)) scene.struck();
    }
  },
  cleanUp: calm,
};

/** Answers whether anything was held up. */
async function slowDown({ random }: Scene, proxy: FaultProxy): Promise<boolean> {
  const { pace, delay, slowed } = proxy;
  Object.assign(proxy, SLOW);
  await sleep(random.int(500, 2_000));
  Object.assign(proxy, { pace, delay });
  return proxy.slowed > slowed;
}

const refused: FaultKind = {
  name: 'connections-refused',
  about: 'a server takes no new connections for some seconds; those that it has go on',
  async run(scene) {
    await scene.start();
    for (let times = scene.times(1, 2); times > 0; times--) {
      const { proxy } = scene.stack.database(scene.random.pick(SIDES));
      if (!(await scene.untilCopying())) break;
      const before = proxy.refused;
      proxy.closed = true;
      const met = await scene.until(() => proxy.refused > before, 5_000);
      if (met) await scene.moment(2_500);
      proxy.closed = false;
      if (met) scene.struck();
    }
  },
  cleanUp: calm,
};

const allCut: FaultKind = {
  name: 'all-cut',
  repeats: true,
  about: 'all connections to a server, or to both, are cut at once in mid-COPY',
  async run(scene) {
    const { random, stack } = scene;
    await scene.start();
    for (let times = scene.times(2, 3); times > 0; times--) {
      const sides = random.pick([['source'], ['destination'], SIDES] as const);
      const how = random.pick(['fin', 'reset'] as const);
      if (!(await scene.untilCopying())) break;
      await scene.moment(400);
      const links = sides.flatMap((side) => stack.database(side).proxy.links);
      const hit = links.some(({ doing, open }) => open && doing === 'copying');
      for (const link of links) link.cut(how);
      if (hit) scene.struck();
    }
  },
};

export const NETWORK_KINDS: readonly FaultKind[] = [
  commitAnswerLost,
  commitLost,
  cutKind('copy-fin', 'fin', 'a copying connection is ended by a clean FIN'),
  cutKind('copy-reset', 'reset', 'a copying connection is ended by a reset'),
  stalled,
  slow,
  refused,
  allCut,
];
