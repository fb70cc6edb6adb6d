import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { LonghaulError } from '../../core/errors.js';
import type { PostgresConnectionConfig } from './config.js';

/** The first key of the advisory locks that are session slots; the second is the slot's number. */
export const SLOT_CLASS = createHash('sha256').update('longhaul sessions').digest().readInt32BE(0);

/** How long a session waits for a slot, and how often it looks, in milliseconds. */
const WAIT_MS = 5_000;
const LOOK_EVERY_MS = 250;

/**
 * Takes one of the connection's `maxSessions` slots, which are session-level advisory locks on the server, shared by all workers
 * that use this database and given back by the server itself when the session ends, however it ends. Advisory locks belong to one
 * database: so does the cap. Slots are looked at from a random one on, and the first free is taken. Throws SessionLimit when none
 * gets free within 5 seconds.
 */
export async function takeSlot(
  client: pg.Client,
  config: PostgresConnectionConfig,
  signal: AbortSignal,
): Promise<number> {
  const until = Date.now() + WAIT_MS;
  for (;;) {
    const slot = await trySlot(client, config.maxSessions);
    if (slot !== undefined) return slot;
    if (Date.now() >= until) throw noSlot(config);
    await sleep(LOOK_EVERY_MS, undefined, { signal });
  }
}

async function trySlot(client: pg.Client, slots: number): Promise<number | undefined> {
  const start = Math.floor(Math.random() * slots);
  const { rows } = await client.query<{ slot: number }>(
    `SELECT slot FROM (SELECT (i + $1) % $2 AS slot FROM pg_catalog.generate_series(0, $2 - 1) AS i OFFSET 0) AS slots
     WHERE pg_catalog.pg_try_advisory_lock($3, slot) LIMIT 1`,
    [start, slots, SLOT_CLASS],
  );
  return rows[0]?.slot;
}

function noSlot({ name, maxSessions }: PostgresConnectionConfig): LonghaulError {
  return new LonghaulError('SessionLimit', `Connection "${name}": all ${maxSessions} sessions are in use`, {
    next: `Wait, lower the job's parallelism, or raise maxSessions of "${name}" in longhaul.yaml.`,
  });
}
