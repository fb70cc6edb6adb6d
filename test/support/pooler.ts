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

/** As PgBouncer does by default, the session that was used last is lent first. */
export async function startPooler(url: string, mode: 'transaction' | 'session', size: number): Promise<TestPooler> {
  const all = await Promise.all(Array.from({ length: size }, () => signIn(url)));
  const free = [...all];
  const server = createServer((client) => serve(client, free, mode));
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

function serve(client: Socket, free: Pooled[], mode: 'transaction' | 'session'): void {
  let lent: Pooled | undefined;
  let started = false;
  const fromServer = (chunk: Buffer) => {
    client.write(chunk);
    if (mode === 'transaction' && chunk.subarray(-6).equals(READY_IDLE)) giveBack();
  };
  const giveBack = () => {
    lent?.socket.off('data', fromServer);
    if (lent) free.push(lent);
    lent = undefined;
  };
  client.on('error', () => undefined);
  client.on('close', giveBack);
  client.on('data', (chunk) => {
    if (!started) {
      started = true;
      client.write(SIGNED_IN);
      return;
    }
    if (chunk[0] === TERMINATE) {
      client.end();
      return;
    }
    if (!lent) {
      lent = free.pop();
      lent?.socket.on('data', fromServer);
    }
    if (lent) lent.socket.write(chunk);
    else client.destroy();
  });
}
