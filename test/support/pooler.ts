import { createServer, type AddressInfo, type Socket } from 'node:net';
import { Client } from 'pg';

/** A connection pooler in miniature: signs clients in by itself and lends them server sessions, for a transaction or for good. */
export interface TestPooler {
  readonly port: number;
  close(): Promise<void>;
}

interface Pooled {
  readonly signedIn: Client;
  readonly socket: Socket;
}

/** Sizes of AuthenticationOk, of a BackendKeyData with a made-up pid, and of ReadyForQuery stand in the bytes themselves. */
const SIGNED_IN = Buffer.concat([
  Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0]),
  Buffer.from([0x4b, 0, 0, 0, 12, 0, 0, 0, 7, 0, 0, 0, 7]),
  Buffer.from([0x5a, 0, 0, 0, 5, 0x49]),
]);
const TERMINATE = 0x58;
const READY_IDLE = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);

/** How poolers differ in transaction mode. */
export interface PoolerHabits {
  /** Default: as PgBouncer does, the session that was used last is lent first. */
  readonly longestIdleFirst?: boolean;
  /** Tells clients the pid of a real backend, instead of one that it made up. */
  readonly realPid?: boolean;
  /** Lends a client the session it had before, and resets it (DISCARD ALL) between transactions. */
  readonly resets?: boolean;
}

export async function startPooler(
  url: string,
  mode: 'transaction' | 'session',
  size: number,
  habits: PoolerHabits = {},
): Promise<TestPooler> {
  const all = await Promise.all(Array.from({ length: size }, () => signIn(url)));
  const free = [...all];
  const server = createServer((client) => serve(client, free, mode, habits));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      for (const { socket } of all) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Signs in with pg and takes its socket over. */
async function signIn(url: string): Promise<Pooled> {
  const signedIn = new Client({ connectionString: url });
  signedIn.on('error', () => undefined);
  await signedIn.connect();
  const { socket } = { socket: (signedIn as unknown as { connection: { stream: Socket } }).connection.stream };
  socket.removeAllListeners('data');
  return { signedIn, socket };
}

/** DISCARD ALL as a simple query. */
const DISCARD = Buffer.concat([Buffer.from([0x51, 0, 0, 0, 16]), Buffer.from('DISCARD ALL\0')]);

/** The session that is lent next: `last`, if the pooler prefers it and it is free. */
function take(
  free: Pooled[],
  { longestIdleFirst, resets }: PoolerHabits,
  last: Pooled | undefined,
): Pooled | undefined {
  const kept = resets && last ? free.indexOf(last) : -1;
  if (kept >= 0) return free.splice(kept, 1)[0];
  return longestIdleFirst ? free.shift() : free.pop();
}

function signedInAs(free: readonly Pooled[], { realPid, longestIdleFirst }: PoolerHabits): Buffer {
  const next = longestIdleFirst ? free[0] : free.at(-1);
  const answer = Buffer.from(SIGNED_IN);
  if (realPid && next) answer.writeInt32BE((next.signedIn as unknown as { processID: number }).processID, 14);
  return answer;
}

function serve(client: Socket, free: Pooled[], mode: 'transaction' | 'session', habits: PoolerHabits): void {
  let lent: Pooled | undefined;
  let last: Pooled | undefined;
  /** What the client sent while its session was being reset. */
  let waiting: Buffer[] | undefined;
  let started = false;
  const fromServer = (chunk: Buffer) => {
    client.write(chunk);
    if (mode === 'transaction' && chunk.subarray(-6).equals(READY_IDLE)) giveBack();
  };
  const giveBack = () => {
    const returned = lent;
    if (!returned) return;
    returned.socket.off('data', fromServer);
    [last, lent] = [returned, undefined];
    if (!habits.resets) {
      free.push(returned);
      return;
    }
    waiting = [];
    returned.socket.once('data', () => {
      const sent = waiting ?? [];
      waiting = undefined;
      free.push(returned);
      for (const chunk of sent) client.emit('data', chunk);
    });
    returned.socket.write(DISCARD);
  };
  client.on('error', () => undefined);
  client.on('close', giveBack);
  client.on('data', (chunk) => {
    if (!started) {
      started = true;
      client.write(signedInAs(free, habits));
      return;
    }
    if (chunk[0] === TERMINATE) {
      client.end();
      return;
    }
    if (waiting) {
      waiting.push(chunk);
      return;
    }
    if (!lent) {
      lent = take(free, habits, last);
      lent?.socket.on('data', fromServer);
    }
    if (lent) lent.socket.write(chunk);
    else client.destroy();
  });
}
