import { parentPort, workerData } from 'node:worker_threads';
import { LonghaulError, type ErrorCode } from '../../../core/errors.js';
import { readFile, type FileBatch, type FileOptions } from './file.js';

/** Runs in a thread of its own: reading Parquet is long stretches of computing. It does nothing unless it is asked. */

/** `open` is not answered; to `next` there is one answer: a batch, the end of the open file, or an error, which is the last. */
export type Question = { readonly open: string } | 'next';

export type Answer =
  | { readonly batch: FileBatch }
  | 'end'
  | { readonly error: { readonly code: ErrorCode; readonly message: string; readonly next: string | undefined } };

const options = workerData as FileOptions;
let reading: AsyncIterator<FileBatch> | undefined;
let answered = Promise.resolve();

parentPort!.on('message', (question: Question) => {
  if (question !== 'next') reading = readFile(question.open, options);
  else answered = answered.then(async () => parentPort!.postMessage(await answer()));
});

async function answer(): Promise<Answer> {
  try {
    const next = await reading!.next();
    return next.done === true ? 'end' : { batch: next.value };
  } catch (error) {
    if (!(error instanceof LonghaulError)) throw error;
    return { error: { code: error.code, message: error.message, next: error.next } };
  }
}
