import type { Input, ReadOptions } from './input.js';

const BYTE_ORDER_MARK = Buffer.of(0xef, 0xbb, 0xbf);

/** An input's bytes, without the mark that some programs put before UTF-8. Throws the signal's reason between two chunks. */
export async function* chunksOf(input: Input, { signal }: Pick<ReadOptions, 'signal'>): AsyncGenerator<Buffer> {
  let head: Buffer | undefined = Buffer.alloc(0);
  for await (const bytes of input.chunks) {
    signal.throwIfAborted();
    let chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (head !== undefined) {
      head = head.length === 0 ? chunk : Buffer.concat([head, chunk]);
      if (isPartOfMark(head)) continue;
      chunk = withoutMark(head);
      head = undefined;
    }
    if (chunk.length > 0) yield chunk;
  }
  signal.throwIfAborted();
  if (head !== undefined && head.length > 0) yield head;
}

function isPartOfMark(head: Buffer): boolean {
  return head.length < BYTE_ORDER_MARK.length && BYTE_ORDER_MARK.subarray(0, head.length).equals(head);
}

function withoutMark(head: Buffer): Buffer {
  return BYTE_ORDER_MARK.equals(head.subarray(0, BYTE_ORDER_MARK.length))
    ? head.subarray(BYTE_ORDER_MARK.length)
    : head;
}
