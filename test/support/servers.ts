import { inject } from 'vitest';
import type { TestServers } from './global-setup.js';

/**
 * The servers of this test file's lane, which no other file uses at the same time. Vitest counts the places of its workers from 1;
 * a file keeps its place from its first line to its last hook.
 */
export function testServers(): TestServers {
  const lanes = inject('servers');
  const lane = lanes[Number(process.env.VITEST_POOL_ID) - 1];
  if (lane === undefined)
    throw new Error(`no servers for worker ${process.env.VITEST_POOL_ID} of ${lanes.length}: is maxWorkers another?`);
  return lane;
}
