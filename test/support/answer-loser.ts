import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface AnswerLoser {
  readonly endpoint: string;
  /** From now on, so many answers to requests whose first line matches are lost: they were carried out, and the connection ends. */
  lose(request: RegExp, times: number): void;
  stop(): void;
}

/** A TCP proxy to an HTTP server that loses chosen answers. */
export async function startAnswerLoser(endpoint: string): Promise<AnswerLoser> {
  const to = new URL(endpoint);
  const sockets = new Set<Socket>();
  let rule: { readonly request: RegExp; left: number } = { request: /^$/, left: 0 };
  const server = createServer((client) => {
    const upstream = connect(Number(to.port), to.hostname);
    for (const socket of [client, upstream]) sockets.add(socket.on('error', () => undefined));
    let loses = false;
    client.on('data', (chunk: Buffer) => {
      const line = chunk.toString('latin1', 0, 2_000).split('\r\n')[0]!;
      if (rule.left > 0 && rule.request.test(line)) loses = true;
      upstream.write(chunk);
    });
    upstream.on('data', (chunk: Buffer) => {
      // What only asks for the body is no answer yet.
      if (!loses || chunk.toString('latin1', 0, 12) === 'HTTP/1.1 100') return void client.write(chunk);
      rule.left--;
      client.destroy();
      upstream.destroy();
    });
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    lose(request, times) {
      rule = { request, left: times };
    },
    stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
