// Ends the programs of a worker and removes their folders when the worker is gone, however it went: the kernel closes the pipe on our
// standard input then. A worker that ends in order has left nothing to do. Started by src/connectors/command/reaper.ts only.
//
// fd 0     JSON lines, the last one of an id counts:
//          { id, path, parents, group?: { id, started? }, graceMs }   to be ended and removed; `parents`: so many folders above it too,
//                                                                     if they are empty; `started` names the group's leader for good
//          { id }                                                     no more
//
// It lives in bin/, not in src/, because it must be plain JavaScript at the same place for sources, dist and packages.
import { readFileSync, rmdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

const charges = new Map();

function note(line) {
  const { id, ...charge } = JSON.parse(line);
  if (charge.path === undefined) charges.delete(id);
  else charges.set(id, charge);
}

/** False when nobody is left. */
function signal(group, name) {
  try {
    return process.kill(-group.id, name);
  } catch {
    return false;
  }
}

/** A number that came again is another's. */
function isOurs({ id, started }) {
  try {
    const stat = readFileSync(`/proc/${id}/stat`, 'latin1');
    return started === undefined || stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] === started;
  } catch {
    return true; // The leader has ended, and its number stays the group's as long as anybody is in it.
  }
}

async function end(group, graceMs) {
  if (!isOurs(group) || !signal(group, 'SIGTERM')) return;
  const until = Date.now() + graceMs;
  while (Date.now() < until) {
    await sleep(50);
    if (!signal(group, 0)) return;
  }
  signal(group, 'SIGKILL');
  await sleep(100);
}

async function reap({ path, parents, group, graceMs }) {
  if (group) await end(group, graceMs);
  rmSync(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  for (let folder = dirname(path), left = parents; left > 0; folder = dirname(folder), left--) rmdirSync(folder);
}

/** What can't be removed, or is not empty, is left: the next worker sweeps it. */
async function reapAll(some) {
  await Promise.allSettled(some.map(reap));
}

for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => undefined);
const lines = createInterface({ input: process.stdin });
lines.on('line', note);
lines.on('close', async () => {
  const all = [...charges.values()];
  await reapAll(all.filter(({ parents }) => parents > 0));
  // The worker's own sign of life: while it is there, others know that what it has left is to be swept.
  await reapAll(all.filter(({ parents }) => parents === 0));
});
