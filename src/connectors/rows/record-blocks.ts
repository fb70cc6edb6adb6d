import { inputName, streamError, type Input, type ReadOptions } from './input.js';
import type { RecordScanner } from './record-scanner.js';

/** Whole records of one input, one behind the other, in one piece of memory. */
export interface RecordBlock {
  readonly file?: string;
  readonly bytes: Buffer;
  /** Where each ends in `bytes`, behind its line break. */
  readonly ends: readonly number[];
  /** The line in which each begins. */
  readonly lines: readonly number[];
  /** The input ended within the one record of this block, or just before its line break. */
  readonly unended?: true;
}

/** A record is held in memory as a whole, and one with a quote that nobody closes would be the rest of the input. */
const MAX_RECORD_BYTES = 64 << 20;
/** What a batch holds at most, unless one record is larger. */
const BATCH_RECORDS = 1000;
const BATCH_BYTES = 256 << 10;

/**
 * Cuts an input between records. What came is handed on at once, and not gathered: so a slow program is seen to be alive. Nothing is
 * read ahead, and of what was read only the record that has not ended is kept.
 */
export async function* recordBlocks(
  input: Pick<Input, 'name'>,
  chunks: AsyncIterable<Buffer>,
  scanner: RecordScanner,
  options: ReadOptions,
): AsyncGenerator<RecordBlock> {
  const file = input.name === undefined ? {} : { file: input.name };
  let open: Buffer[] = [];
  for await (const chunk of chunks) {
    const before = scanner.openBytes;
    const { ends, lines } = scanner.scan(chunk);
    const end = ends.at(-1);
    if (end !== undefined) {
      const bytes = Buffer.concat([...open, chunk.subarray(0, end)]);
      yield* slices({ ...file, bytes, lines, ends: ends.map((at) => before + at) });
      open = [];
    }
    open.push(chunk.subarray(end ?? 0));
    if (scanner.openBytes > MAX_RECORD_BYTES) throw tooLong(input, scanner, options);
  }
  const { openBytes } = scanner;
  if (openBytes === 0) return;
  yield { ...file, bytes: Buffer.concat(open), ends: [openBytes], lines: [scanner.recordLine], unended: true };
}

function* slices(block: RecordBlock): Generator<RecordBlock> {
  const { bytes, ends, lines } = block;
  for (let first = 0, start = 0; first < ends.length;) {
    let next = first + 1;
    while (next < ends.length && next - first < BATCH_RECORDS && ends[next]! - start <= BATCH_BYTES) next++;
    const end = ends[next - 1]!;
    const base = start;
    yield {
      ...block,
      bytes: bytes.subarray(start, end),
      ends: ends.slice(first, next).map((at) => at - base),
      lines: lines.slice(first, next),
    };
    [first, start] = [next, end];
  }
}

function tooLong(input: Pick<Input, 'name'>, scanner: RecordScanner, options: ReadOptions): Error {
  const line = `line ${scanner.recordLine} of ${inputName(input)}`;
  return streamError(
    'SourceRefused',
    options,
    `the record that begins in ${line} is longer than ${MAX_RECORD_BYTES >> 20} MB`,
    scanner.inQuotes
      ? 'Look for a quote that is never closed: everything behind it is taken for one value.'
      : 'Each record needs a line break behind it.',
  );
}
