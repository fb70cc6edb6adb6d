import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RecordScanner } from '../../src/connectors/rows/record-scanner.js';
import { split } from '../support/rows.js';

/** The same, a byte at a time. */
function slowly(bytes: Uint8Array, quotes: boolean) {
  const found = { ends: [] as number[], lines: [] as number[], inQuotes: false };
  let [line, recordLine] = [1, 1];
  for (const [at, byte] of bytes.entries()) {
    if (quotes && byte === 0x22) found.inQuotes = !found.inQuotes;
    if (byte !== 0x0a) continue;
    line++;
    if (found.inQuotes) continue;
    found.ends.push(at + 1);
    found.lines.push(recordLine);
    recordLine = line;
  }
  return { ...found, line, recordLine };
}

describe('RecordScanner', () => {
  it('finds what a look at each byte finds, wherever the bytes are cut and lie in memory', () => {
    // Next to a quote and a line feed in value, or in all bits but one; long stretches without either.
    const byte = fc.oneof(
      fc.constantFrom(0x22, 0x0a),
      fc.constantFrom(0x21, 0x23, 0xa2, 0x02, 0x0b, 0x8a, 0x00, 0xff, 0x80, 0x7f),
      fc.constant(0x61),
    );
    const bytes = fc.array(byte, { maxLength: 300 });
    fc.assert(
      fc.property(
        bytes,
        fc.array(fc.nat(), { maxLength: 10 }),
        fc.boolean(),
        fc.nat(7),
        (content, cuts, quotes, shift) => {
          const memory = Buffer.alloc(content.length + shift);
          memory.set(content, shift);
          const scanner = new RecordScanner({ quotes });
          const seen = { ends: [] as number[], lines: [] as number[] };
          let base = 0;
          for (const chunk of split(memory.subarray(shift), cuts)) {
            const { ends, lines } = scanner.scan(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length));
            seen.ends.push(...ends.map((end) => base + end));
            seen.lines.push(...lines);
            base += chunk.length;
            expect(scanner.openBytes).toBe(base - (seen.ends.at(-1) ?? 0));
          }
          const { inQuotes, line, recordLine } = scanner;
          expect({ ...seen, inQuotes, line, recordLine }).toEqual(slowly(Buffer.from(content), quotes));
        },
      ),
      { numRuns: 2000 },
    );
  });
});
