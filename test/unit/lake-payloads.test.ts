import { describe, expect, it } from 'vitest';
import { Payloads } from '../../src/connectors/lake/columns/payloads.js';

describe('frames', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 11, 64])('are taken off in chunks of %i bytes', (size) => {
    const payloads = ['', 'a', 'bcd', 'x'.repeat(20), ''];
    const bytes = Buffer.concat(
      payloads.map((text) => {
        const frame = Buffer.from(`d0000${text}`);
        frame.writeInt32BE(text.length + 4, 1);
        return frame;
      }),
    );
    let seen = '';
    const walker = new Payloads({
      piece: (chunk, from, to) => (seen += Buffer.from(chunk.subarray(from, to)).toString()),
      frames: (_chunk, from) => from,
    });
    for (let at = 0; at < bytes.length; at += size) {
      const chunk = bytes.subarray(at, at + size);
      walker.walk(chunk, 0, chunk.length);
    }
    expect(seen).toBe(payloads.join(''));
    expect(walker.atBoundary).toBe(true);
  });

  it('that are none, or have no possible length, are errors', () => {
    const walker = () => new Payloads({ piece: () => undefined, frames: (_chunk, from) => from });
    expect(() => walker().walk(Buffer.from('e0000'), 0, 5)).toThrow(/type/);
    expect(() => walker().walk(Buffer.from([0x64, 0, 0, 0, 3]), 0, 5)).toThrow(/impossible/);
    const cut = walker();
    cut.walk(Buffer.from([0x64, 0xff]), 0, 2);
    expect(() => cut.walk(Buffer.from([0xff, 0xff, 0xff]), 0, 3)).toThrow(/impossible/);
  });
});
