import { createServer, type AddressInfo, type Socket } from 'node:net';

/** A protocol message: type, int32 length, body. */
export function message(type: string, body: Uint8Array | string = ''): Buffer {
  const bytes = Buffer.from(body);
  const head = Buffer.alloc(5);
  head.write(type, 0, 'latin1');
  head.writeInt32BE(4 + bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/**
 * A server that lets everybody in and answers each simple query with what `answer` makes of its text: for byte sequences which
 * a real server sends too seldom to be tested.
 */
export async function startFakePostgres(
  answer: (sql: string, socket: Socket) => void,
): Promise<{ port: number; stop: () => void }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.setNoDelay(true));
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.write(Buffer.concat([message('R', Buffer.alloc(4)), message('Z', 'I')]));
      socket.on('data', (chunk) => {
        if (chunk[0] === 0x51) answer(chunk.subarray(5, -1).toString(), socket);
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { port: (server.address() as AddressInfo).port, stop };
}
