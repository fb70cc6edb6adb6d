import type { Link, Moment } from '../proxy.js';
import type { Scene } from '../scene.js';
import type { Side } from '../stack.js';

/** The servers that a job has to do with. */
export const SIDES: readonly Side[] = ['source', 'destination'];

/** Milliseconds in which what is armed has to be met by the job. */
export const MET_WITHIN = 15_000;

/** Both proxies as they are without faults, but for the pace that the scene has set. */
export function calm({ stack }: Scene): Promise<void> {
  for (const side of SIDES) {
    const { proxy } = stack.database(side);
    proxy.disarm();
    proxy.closed = false;
    proxy.delay = 0;
    for (const link of proxy.links) link.resume();
  }
  stack.destination.proxy.pace = undefined;
  return Promise.resolve();
}

/** The next connection at this moment, held there; undefined when none comes. */
export async function held(scene: Scene, moment: Moment): Promise<Link | undefined> {
  const { proxy } = scene.stack.destination;
  let link: Link | undefined;
  void proxy.next(moment).then((found) => (link = found));
  await scene.until(() => link !== undefined, MET_WITHIN);
  proxy.disarm();
  return link;
}

/**
 * Keys of the job file by which the source's sessions are in COPY for a second or two: a partition of the scene is otherwise in their
 * sockets' buffers at once, and they are done long before its rows have arrived.
 */
export function slowSource({ tables }: Scene): object {
  return { tables: tables.map((from) => ({ from, where: 'pg_sleep(0.0005) IS NOT NULL' })) };
}
