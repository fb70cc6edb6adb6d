import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import pg from 'pg';
import { afterEach, describe, expect, it } from 'vitest';
import { ConnectionLost, CopyOut, copySocket, ProtocolError } from '../../src/connectors/postgres/wire/index.js';
import type { ChunkSink } from '../../src/connectors/types.js';
import { message, startFakePostgres } from '../support/fake-postgres.js';

const COPY_OUT_RESPONSE = message('H', Uint8Array.of(0, 0, 0));
const NOTICE = message('N', 'SNOTICE\0C00000\0Mhello\0\0');
const NOTIFICATION = message('A', Buffer.concat([Buffer.alloc(4), Buffer.from('channel\0payload\0')]));
const PARAMETER = message('S', 'TimeZone\0UTC\0');
const ERROR = message('E', 'SERROR\0C22012\0Mdivision by zero\0Da detail\0\0');
const end = (rows: number, status = 'I') => [message('c'), message('C', `COPY ${rows}\0`), message('Z', status)];

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** A client of a server that answers every query with these bytes, in these pieces; `cut` closes the connection after them. */
async function clientOf(pieces: () => readonly Uint8Array[], options: { direct: boolean; cut?: boolean }) {
  const send = async (write: (piece: Uint8Array) => void) => {
    for (const piece of pieces()) {
      write(piece);
      await turn();
    }
  };
  const server = await startFakePostgres((_sql, socket) => {
    void send((piece) => socket.write(piece)).then(() => options.cut && socket.end());
  });
  const client = new pg.Client({
    host: '127.0.0.1',
    port: server.port,
    user: 'u',
    password: '',
    ...(options.direct ? { stream: copySocket } : {}),
  });
  await client.connect();
  cleanups.push(server.stop, () => void client.end());
  return client;
}

function open(client: pg.Client): CopyOut {
  return new CopyOut(client, { sql: 'COPY t TO STDOUT', format: 'postgres.copy.text' });
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

function split(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const at = [0, ...cuts.map((cut) => cut % bytes.length).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((to, index) => bytes.subarray(at[index], to));
}

/** Reads the memory that it was lent late, just before it lets it go. */
class HoldingSink implements ChunkSink {
  readonly taken: Buffer[] = [];
  held: Uint8Array | undefined;

  write(chunk: Uint8Array): boolean {
    if (this.held) throw new Error('written to before it has drained');
    this.held = chunk;
    return false;
  }

  async drained(): Promise<void> {
    await sleep(5);
    this.taken.push(Buffer.from(this.held!));
    this.held = undefined;
  }
}

describe.each([
  ['data events', false],
  ['a direct socket', true],
])('CopyOut over %s', (_name, direct) => {
  it('forwards CopyData and nothing else, and pg gets the rest, wherever the stream is cut', async () => {
    let pieces: Uint8Array[] = [];
    const client = await clientOf(() => pieces, { direct });
    const notices: string[] = [];
    client.on('notice', (notice) => notices.push(notice.message ?? ''));
    const data = fc.uint8Array({ maxLength: 300 }).map((body) => message('d', body));
    const any = fc.oneof({ weight: 4, arbitrary: data }, fc.constantFrom(NOTICE, NOTIFICATION, PARAMETER));
    const scenario = fc.tuple(fc.array(any, { maxLength: 30 }), fc.array(fc.nat(), { maxLength: 12 }));
    await fc.assert(
      fc.asyncProperty(scenario, async ([messages, cuts]) => {
        notices.length = 0;
        const frames = messages.filter((m) => m[0] === 0x64);
        pieces = split(Buffer.concat([COPY_OUT_RESPONSE, ...messages, ...end(frames.length, 'T'), NOTICE]), cuts);
        const stream = open(client);
        expect((await collect(stream)).equals(Buffer.concat(frames))).toBe(true);
        expect(await stream.rows).toBe(frames.length);
        expect(client.getTransactionStatus()).toBe('T');
        await expect.poll(() => notices.length).toBe(messages.filter((m) => m === NOTICE).length + 1);
      }),
      { numRuns: 60 },
    );
  });

  it("leaves a chunk's memory and its sink alone until that has drained, whatever the server says meanwhile", async () => {
    let pieces: Uint8Array[] = [];
    const client = await clientOf(() => pieces, { direct });
    const any = fc.oneof(fc.constantFrom(message('d', 'row'), message('d', 'another row'), NOTICE, PARAMETER));
    await fc.assert(
      fc.asyncProperty(fc.array(any, { maxLength: 12 }), fc.nat(), async (messages, cut) => {
        const frames = messages.filter((m) => m[0] === 0x64);
        const bytes = Buffer.concat([COPY_OUT_RESPONSE, ...messages, ...end(frames.length)]);
        pieces = [...split(bytes, [cut]), NOTICE];
        const sink = new HoldingSink();
        expect(await open(client).pumpTo(sink)).toBe(frames.length);
        expect(sink.held).toBeUndefined();
        expect(Buffer.concat(sink.taken).equals(Buffer.concat(frames))).toBe(true);
      }),
      { numRuns: 100, endOnFailure: true }, // a client that has failed is of no use to what shrinks
    );
  });

  it('counts more rows than an int32 holds', async () => {
    const client = await clientOf(() => [Buffer.concat([COPY_OUT_RESPONSE, ...end(9_007_199_254_740_991)])], {
      direct,
    });
    const stream = open(client);
    await collect(stream);
    expect(await stream.rows).toBe(9_007_199_254_740_991);
  });

  it("rejects with the server's error and gives the session back", async () => {
    const bytes = [COPY_OUT_RESPONSE, message('d', 'row'), ERROR, message('Z', 'E')];
    const client = await clientOf(() => bytes, { direct });
    const stream = open(client);
    await expect(collect(stream)).rejects.toMatchObject({ code: '22012', severity: 'ERROR', detail: 'a detail' });
    await expect(stream.rows).rejects.toBeInstanceOf(pg.DatabaseError);
    expect(client.getTransactionStatus()).toBe('E');
    await expect(collect(open(client))).rejects.toMatchObject({ code: '22012' });
  });

  const whole = [COPY_OUT_RESPONSE, message('d', 'row one'), message('d', 'row two'), ...end(2)];
  it.each(whole.map((_, index) => index))('takes a clean FIN after %i whole messages for a loss', async (count) => {
    const client = await clientOf(() => whole.slice(0, count), { direct, cut: true });
    const stream = open(client);
    await expect(collect(stream)).rejects.toBeInstanceOf(ConnectionLost);
    await expect(stream.rows).rejects.toBeInstanceOf(ConnectionLost);
    await expect(client.query('SELECT 1')).rejects.toThrow();
  });

  it.each([
    ['rows of a query', [message('T', Buffer.alloc(2))]],
    ['another command', [message('C', 'INSERT 0 1\0'), message('Z', 'I')]],
    ['a COPY into a file', end(5).slice(1)],
    ['a COPY from here', [message('G', Uint8Array.of(0, 0, 0))]],
    ['a second COPY', [COPY_OUT_RESPONSE, ...end(0).slice(0, 2), COPY_OUT_RESPONSE, message('d', 'x')]],
    ['a message of impossible length', [COPY_OUT_RESPONSE, Uint8Array.of(0x64, 0, 0, 0, 0)]],
  ])('refuses %s', async (_what, bytes) => {
    const client = await clientOf(() => bytes, { direct });
    await expect(collect(open(client))).rejects.toBeInstanceOf(ProtocolError);
  });
});
