import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** How the way from server to client ends: orderly, or by a reset. */
export type Cut = 'fin' | 'reset';

export interface CuttingProxy {
  /** The given URL by way of the proxy. */
  readonly url: string;
  /** From now on, connections end after so many more bytes from the server. */
  cutAfter(bytes: number, how: Cut): void;
  /** From now on, connections end before a ReadyForQuery that ends what the server sends. */
  cutBeforeReady(how: Cut): void;
  /** From now on, connections end before a message of the server that begins with this text, e.g. the tag `COMMIT`. */
  cutBeforeText(text: string, how: Cut): void;
  stop(): void;
}

/** A TCP proxy to a Postgres server that cuts connections at a chosen place of what the server sends. */
export async function startCuttingProxy(target: string): Promise<CuttingProxy> {
  const to = new URL(target);
  const sockets = new Set<Socket>();
  let rule: (chunk: Buffer) => number = (chunk) => chunk.length;
  let how: Cut = 'fin';
  const server = createServer((client) => {
    const upstream = connect(Number(to.port), to.hostname);
    for (const socket of [client, upstream]) sockets.add(socket.on('error', () => undefined));
    client.on('data', (chunk) => upstream.write(chunk)).on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
    upstream.on('data', (chunk: Buffer) => {
      const passed = rule(chunk);
      const more = client.write(chunk.subarray(0, passed));
      if (passed < chunk.length) cut(client);
      else if (!more) {
        upstream.pause();
        client.once('drain', () => upstream.resume());
      }
    });
    const cut = (socket: Socket) => {
      upstream.removeAllListeners('data').removeAllListeners('close').resume();
      if (how === 'fin') socket.end();
      else socket.resetAndDestroy();
    };
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(target);
  url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: url.href,
    cutAfter(bytes, by) {
      how = by;
      let left = bytes;
      rule = (chunk) => {
        const passed = Math.min(left, chunk.length);
        left -= passed;
        return passed;
      };
    },
    cutBeforeReady(by) {
      how = by;
      rule = (chunk) => (chunk.at(-6) === 0x5a && chunk.at(-2) === 5 ? chunk.length - 6 : chunk.length);
    },
    cutBeforeText(text, by) {
      how = by;
      rule = (chunk) => {
        const found = chunk.indexOf(text);
        return found < 0 ? chunk.length : Math.max(0, found - 5);
      };
    },
    stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
