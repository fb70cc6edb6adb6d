import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { LonghaulError } from '../../core/errors.js';
import type { PostgresConnectionConfig } from './config.js';
import { Gate, type Leave } from '../gate.js';

/**
 * What a session is counted as. Those that hold a snapshot are counted apart: they last as long as a job, and the copying must not
 * keep them from beginning. So are those for a job's own statements, which must not keep the copying from beginning.
 */
export type SessionSide = 'source' | 'destination' | 'snapshot' | 'statements';

/** How long a session waits for a place in this process, before it signs in, in milliseconds. */
const GATE_WAIT_MS = 5_000;
/** How long a session that has signed in waits for a slot, and how often it looks, in milliseconds: it takes up a connection. */
const SLOT_WAIT_MS = 1_000;
const LOOK_EVERY_MS = 250;

/**
 * Each job has two holders, one session that looks for them now and then, and for some minutes those that lost workers left behind: so
 * many sessions they may have whatever `maxSessions` says.
 */
const LEAST_FOR_SNAPSHOTS = 16;

/** One set for each connection of this process, for as long as its configuration is in use. */
const gates = new WeakMap<PostgresConnectionConfig, Readonly<Record<SessionSide, Gate>>>();

/**
 * Waits until this process has fewer than `maxSessions` sessions at this side of the connection, so that those who wait for a slot
 * don't exhaust the server themselves. Throws SessionLimit after 5 seconds. What it answers with is called when the session has ended.
 */
export async function enterGate(
  config: PostgresConnectionConfig,
  side: SessionSide,
  signal: AbortSignal,
): Promise<Leave> {
  let pair = gates.get(config);
  if (pair === undefined) {
    const gate = (of: SessionSide) => new Gate(slotsOf(config, of));
    pair = {
      source: gate('source'),
      destination: gate('destination'),
      snapshot: gate('snapshot'),
      statements: gate('statements'),
    };
    gates.set(config, pair);
  }
  const leave = await pair[side].enter(GATE_WAIT_MS, signal);
  if (leave === undefined) throw noSlot(config, side);
  return leave;
}

function slotsOf({ maxSessions }: PostgresConnectionConfig, side: SessionSide): number {
  return side === 'snapshot' ? Math.max(LEAST_FOR_SNAPSHOTS, maxSessions) : maxSessions;
}

/**
 * The first key of the advisory locks that are session slots; the second is the slot's number. Each connection has its own, and each
 * side of it: an attempt holds a session at its destination while it waits for one at its source, so that in one pool of both the
 * attempts could take all slots and wait for each other.
 */
export function slotClass(connection: string, side: SessionSide): number {
  const parts = JSON.stringify(['longhaul sessions', connection, side]);
  return createHash('sha256').update(parts).digest().readInt32BE(0);
}

/**
 * Takes one of the `maxSessions` slots of this side of the connection, which are session-level advisory locks on the server, shared by
 * all workers that call the connection by this name and given back by the server itself when the session ends, however it ends.
 * Advisory locks belong to one database: so does the cap. Slots are looked at from a random one on, and the first free is
 * taken. Throws SessionLimit when none gets free within a second.
 */
export async function takeSlot(
  client: pg.Client,
  config: PostgresConnectionConfig,
  side: SessionSide,
  signal: AbortSignal,
): Promise<number> {
  const until = Date.now() + SLOT_WAIT_MS;
  for (;;) {
    const slot = await trySlot(client, slotClass(config.name, side), slotsOf(config, side), OWN_KEY[side]);
    if (slot !== undefined) return slot;
    if (Date.now() >= until) throw noSlot(config, side);
    await sleep(LOOK_EVERY_MS, undefined, { signal });
  }
}

/** The first key of the advisory lock that every session of Longhaul holds in shared mode, whatever its connection and side. */
const OWN_CLASS = createHash('sha256').update('longhaul session').digest().readInt32BE(0);

/** The second key of that lock: 1 for those that hold snapshots. */
const OWN_KEY: Readonly<Record<SessionSide, number>> = { source: 0, destination: 0, snapshot: 1, statements: 0 };

/**
 * A subquery: the pids of Longhaul's own sessions in this database, of all jobs and workers. They are told by a lock that each holds
 * to its end, since a name would prove nothing. pg_locks shows the keys unsigned.
 */
export const OWN_SESSIONS = `(${ownLocks()})`;

/** As `OWN_SESSIONS`: of these, the ones that look for snapshots or hold them. They read no row of any table. */
export const SNAPSHOT_SESSIONS = `(${ownLocks()} AND objid = ${OWN_KEY.snapshot}::pg_catalog.oid)`;

function ownLocks(): string {
  return `SELECT pid FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted AND pid IS NOT NULL AND objsubid = 2
    AND classid = ${OWN_CLASS >>> 0}::pg_catalog.oid
    AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())`;
}

async function trySlot(client: pg.Client, lockClass: number, slots: number, own: number): Promise<number | undefined> {
  const start = Math.floor(Math.random() * slots);
  const { rows } = await client.query<{ slot: number }>(
    `SELECT slot, pg_catalog.pg_advisory_lock_shared($4, $5) FROM (SELECT (i + $1) % $2 AS slot FROM pg_catalog.generate_series(0, $2 - 1) AS i OFFSET 0) AS slots
     WHERE pg_catalog.pg_try_advisory_lock($3, slot) LIMIT 1`,
    [start, slots, lockClass, OWN_CLASS, own],
  );
  return rows[0]?.slot;
}

const AS: Readonly<Record<SessionSide, string>> = {
  source: 'as a source',
  destination: 'as a destination',
  snapshot: 'that hold snapshots',
  statements: "for a job's statements",
};

function noSlot(config: PostgresConnectionConfig, side: SessionSide): LonghaulError {
  const { name } = config;
  return new LonghaulError(
    'SessionLimit',
    `Connection "${name}": all ${slotsOf(config, side)} sessions ${AS[side]} are in use`,
    { next: `Wait, lower the job's parallelism, or raise maxSessions of "${name}" in longhaul.yaml.` },
  );
}
