import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameWalker, frameCopyData, ProtocolError } from '../../src/connectors/postgres/wire/index.js';

const payloads = fc.array(fc.uint8Array({ maxLength: 70 }), { maxLength: 30 });

/** Cuts bytes at the given places, in any order and number; empty pieces included. */
function split(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
}

function foreign(type: string, body: Uint8Array): Uint8Array {
  const message = Buffer.from(frameCopyData(body));
  message.write(type, 0, 'latin1');
  return message;
}

/** What a reader of the socket does: runs of CopyData to one side, single other messages to the other. */
function separate(chunks: readonly Uint8Array[]) {
  const walker = new FrameWalker();
  const data: Uint8Array[] = [];
  const others: Uint8Array[] = [];
  let inOther = false;
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.length;) {
      const end = inOther ? at : walker.walkCopyData(chunk, at);
      data.push(chunk.subarray(at, end));
      at = end;
      if (at === chunk.length) break;
      const after = walker.walkMessage(chunk, at);
      others.push(chunk.subarray(at, after));
      inOther = !walker.atBoundary;
      at = after;
    }
  }
  return { data: Buffer.concat(data), others: Buffer.concat(others), walker };
}

describe('FrameWalker', () => {
  it('separates CopyData from everything else, wherever the stream is cut', () => {
    const message = fc.oneof(
      fc.record({ type: fc.constant('d'), body: fc.uint8Array({ maxLength: 70 }) }),
      fc.record({ type: fc.constantFrom('S', 'N', 'A', 'H'), body: fc.uint8Array({ maxLength: 12 }) }),
    );
    fc.assert(
      fc.property(fc.array(message, { maxLength: 40 }), fc.array(fc.nat(), { maxLength: 60 }), (messages, cuts) => {
        const wire = messages.map(({ type, body }) => foreign(type, body));
        const only = (data: boolean) => Buffer.concat(wire.filter((_, i) => (messages[i]!.type === 'd') === data));
        const seen = separate(split(Buffer.concat(wire), cuts));
        expect(seen.data.equals(only(true))).toBe(true);
        expect(seen.others.equals(only(false))).toBe(true);
        expect(seen.walker.frames).toBe(messages.filter(({ type }) => type === 'd').length);
        expect(seen.walker.atBoundary).toBe(true);
      }),
    );
  });

  it('knows a boundary from the middle of a frame, and how to get from one to the other', () => {
    fc.assert(
      fc.property(payloads, fc.nat(), fc.array(fc.nat()), (bodies, cutAt, cuts) => {
        const bytes = Buffer.concat(bodies.map(frameCopyData));
        const sent = bytes.subarray(0, cutAt % (bytes.length + 1));
        const walker = new FrameWalker();
        for (const chunk of split(sent, cuts)) expect(walker.walkCopyData(chunk, 0)).toBe(chunk.length);
        const padding = walker.padding();
        expect(padding?.length === 0).toBe(walker.atBoundary);
        if (padding) walker.walkCopyData(Buffer.concat([padding]), 0);
        expect(padding === undefined || walker.atBoundary).toBe(true);
      }),
    );
  });

  it('does not invent more than a megabyte to end a frame', () => {
    const walker = new FrameWalker();
    walker.walkCopyData(Uint8Array.of(0x64, 0x10, 0, 0, 0, 1, 2, 3), 0);
    expect(walker.padding()).toBeUndefined();
  });

  it.each([
    [0, 0, 0, 3],
    [0x80, 0, 0, 0],
    [0xff, 0xff, 0xff, 0xff],
  ])('refuses the length %i %i %i %i, whole or in pieces', (...length) => {
    const header = Uint8Array.of(0x64, ...length);
    expect(() => new FrameWalker().walkCopyData(header, 0)).toThrow(ProtocolError);
    const walker = new FrameWalker();
    walker.walkCopyData(header.subarray(0, 2), 0);
    expect(() => walker.walkCopyData(header.subarray(2), 0)).toThrow(ProtocolError);
  });
});
