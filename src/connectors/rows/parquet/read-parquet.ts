import { on } from 'node:events';
import { Worker } from 'node:worker_threads';
import { LonghaulError } from '../../../core/errors.js';
import type { RowBatch, RowStream } from '../../types.js';
import { streamError, type ReadOptions } from '../input.js';
import { rowStream } from '../row-stream.js';
import type { FileBatch, FileOptions } from './file.js';
import type { Answer, Question } from './thread.js';

const THREAD = new URL('./thread.js', import.meta.url);

/**
 * Parquet files as rows, by the names of their columns. Values are exact: a text where a number or `Date` would round. The files are read in
 * a thread, a row group at a time, and it is never more than a batch ahead. An abort ends the thread.
 */
export function readParquet(files: AsyncIterable<string>, options: ReadOptions): RowStream {
  return rowStream(
    options.columns.map(({ name }) => name),
    batches(files, options),
  );
}

async function* batches(files: AsyncIterable<string>, options: ReadOptions): AsyncGenerator<RowBatch> {
  const { columns, subject, signal } = options;
  signal.throwIfAborted();
  const workerData: FileOptions = { columns, subject };
  const thread = new Worker(THREAD, { workerData });
  const answers = on(thread, 'message', { signal, close: ['exit'] });
  try {
    for await (const path of files) yield* fileBatches(path, thread, answers);
  } catch (error) {
    signal.throwIfAborted();
    throw isOutOfMemory(error) ? tooLarge(options) : error;
  } finally {
    await thread.terminate();
  }
}

async function* fileBatches(path: string, thread: Worker, answers: AsyncIterator<unknown>): AsyncGenerator<RowBatch> {
  const ask = (question: Question) => thread.postMessage(question);
  ask({ open: path });
  ask('next');
  for (;;) {
    const answer = await nextAnswer(answers);
    if (answer === 'end') return;
    if ('error' in answer) throw failed(answer.error);
    ask('next'); // so that it works at the next while this one is written
    yield batchOf(answer.batch);
  }
}

async function nextAnswer(answers: AsyncIterator<unknown>): Promise<Answer> {
  const event = await answers.next();
  if (event.done === true) throw new Error('the thread that reads Parquet files has ended');
  return (event.value as [Answer])[0];
}

function failed({ code, message, next }: Extract<Answer, { error: unknown }>['error']): LonghaulError {
  return new LonghaulError(code, message, next === undefined ? {} : { next });
}

function batchOf({ rows, bytes, places, malformed }: FileBatch): RowBatch {
  return { rows, bytes, ...(malformed.length === 0 ? {} : { malformed }), place: (index) => places[index]! };
}

function isOutOfMemory(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY';
}

function tooLarge(options: ReadOptions): Error {
  return streamError(
    'SourceFailed',
    options,
    'a row group of a Parquet file does not fit into memory',
    'Write smaller row groups, of 100,000 rows or so (`row_group_size` in pyarrow).',
  );
}
