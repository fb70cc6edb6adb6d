import { lstat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { LonghaulError } from '../../core/errors.js';
import type { TableRecord } from '../../core/model.js';
import { passCsv, readCsv, readNdjson, readParquet, type Input, type ReadOptions } from '../rows/index.js';
import type { Meter, SourceStream } from '../types.js';
import type { AttemptFolder } from './attempt-folder.js';
import type { CommandConnectionConfig } from './config.js';
import { countDiffers, notDone, pipeHeld, pipeReplaced, type Subject } from './errors.js';
import { bytesIn, chunksOf, filesIn, type LeftFile } from './files.js';
import type { Program } from './program.js';
import { readTrailer, type Trailer } from './trailer.js';

/** How often a program's files are looked at while it writes, and a pipe that doesn't end though it should, in milliseconds. */
const LOOK_EVERY_MS = 1_000;

export interface Running {
  readonly config: CommandConnectionConfig;
  readonly subject: Subject;
  readonly folder: AttemptFolder;
  readonly program: Program;
  readonly signal: AbortSignal;
  readonly meter: Meter | undefined;
}

/**
 * The rows of a running program, in the record's format. They end only when it has exited with code 0 and its trailer, if it left one,
 * was read: whatever else happens is an error of the iteration, and of the count.
 */
export async function openStream(record: TableRecord, running: Running): Promise<SourceStream> {
  const { subject, signal } = running;
  const ending: Ending = { trailer: undefined };
  const byName = new Map(record.shape.columns.map((column) => [column.name, column]));
  const stream = await readerOf(record.format, running, ending, {
    columns: record.columns.map((name) => byName.get(name)!),
    signal,
    subject: `query ${subject.query} of ${subject.table} (connection "${subject.connection}")`,
  });
  const rows = stream.rows.then((given) => {
    const told = ending.trailer?.rows;
    if (told !== undefined && told !== given) throw countDiffers(subject, given, told);
    return given;
  });
  rows.catch(() => undefined); // Whoever asks for it hears of it, also later.
  return withRows(stream, rows);
}

/** Known once the last row was read. */
interface Ending {
  trailer: Trailer | undefined;
}

async function readerOf(format: string, running: Running, ending: Ending, options: ReadOptions): Promise<SourceStream> {
  const { config } = running;
  if (config.format === 'parquet') return readParquet(pathsOf(leftFiles(running, ending)), options);
  const inputs = config.output === 'files' ? fileInputs(running, ending) : pipeInput(running, ending);
  if (config.format === 'ndjson') return readNdjson(inputs, options);
  if (format === 'csv') return passCsv(inputs, config.csv, options);
  if (format === 'rows') return readCsv(inputs, config.csv, options);
  throw new LonghaulError('SourceChanged', `Connection "${config.name}" can't send "${format}".`, {
    next: 'Start the job again, so that the format is chosen anew.',
  });
}

function withRows(stream: SourceStream, rows: Promise<number>): SourceStream {
  if (stream.kind === 'rows') {
    const { kind, format, columns } = stream;
    return { kind, format, columns, rows, [Symbol.asyncIterator]: () => stream[Symbol.asyncIterator]() };
  }
  const { kind, format, columns } = stream;
  return {
    ...{ kind, format, rows, [Symbol.asyncIterator]: () => stream[Symbol.asyncIterator]() },
    ...(columns !== undefined && { columns }),
    ...(stream.place !== undefined && { place: (line) => stream.place!(line) }),
  };
}

// eslint-disable-next-line @typescript-eslint/require-await -- one input, as an iterable of inputs
async function* pipeInput(running: Running, ending: Ending): AsyncGenerator<Input> {
  yield { chunks: pipeChunks(running, ending) };
}

async function* pipeChunks(running: Running, ending: Ending): AsyncGenerator<Uint8Array> {
  const { program, folder, config, subject } = running;
  const { reader } = program.rows;
  const watch = endHeldPipe(running);
  try {
    for await (const chunk of reader) yield chunk as Uint8Array;
  } catch (error) {
    await program.succeeded(); // What befell the program comes before what that did to its pipe.
    throw error;
  } finally {
    clearInterval(watch);
  }
  await program.succeeded();
  const found = config.output === 'pipe' ? await lstat(folder.rows).catch(() => undefined) : undefined;
  if (config.output === 'pipe' && found?.isFIFO() !== true) throw pipeReplaced(subject);
  ending.trailer = await readTrailer(folder.done, subject);
}

/**
 * A process that the program left behind may hold the pipe open: it may go on as long as it gives anything. Silent for as long as
 * `stopGrace` after the program's exit, it ends the stream with an error, since nobody knows what it would still give.
 */
function endHeldPipe({ program, config, subject }: Running): NodeJS.Timeout {
  const { reader } = program.rows;
  let exited = false;
  void program.exited.then(() => (exited = true));
  let [read, since] = [-1, 0];
  return setInterval(
    () => {
      if (!exited || reader.readableLength > 0 || reader.bytesRead !== read) {
        [read, since] = [exited ? reader.bytesRead : -1, Date.now()];
      } else if (Date.now() - since >= config.stopGrace) reader.destroy(pipeHeld(subject));
    },
    Math.min(LOOK_EVERY_MS, config.stopGrace),
  );
}

async function* fileInputs(running: Running, ending: Ending): AsyncGenerator<Input> {
  for await (const { path, name } of leftFiles(running, ending)) {
    yield { name, chunks: chunksOf(path, running.subject) };
  }
}

async function* pathsOf(files: AsyncIterable<LeftFile>): AsyncGenerator<string> {
  for await (const { path } of files) yield path;
}

/** They are looked at when nobody is left who could write to them. */
async function* leftFiles(running: Running, ending: Ending): AsyncGenerator<LeftFile> {
  const { program, folder, subject } = running;
  await whileSpooling(running, async () => {
    await program.succeeded();
    await program.end();
  });
  ending.trailer = await readTrailer(folder.done, subject);
  if (ending.trailer === undefined) throw notDone(subject);
  yield* filesIn(folder.files, subject);
}

/** Has the meter move as the files grow. An abort ends the wait, though the program may take its time. */
async function whileSpooling({ folder, meter, signal }: Running, work: () => Promise<void>): Promise<void> {
  const over = new AbortController();
  const either = AbortSignal.any([over.signal, signal]);
  const watching = meter && countFiles(folder.files, meter, either);
  try {
    await Promise.race([work(), untilAborted(either)]);
    signal.throwIfAborted();
  } finally {
    over.abort();
    await watching;
  }
}

async function countFiles(folder: string, meter: Meter, signal: AbortSignal): Promise<void> {
  let before = 0;
  while (!signal.aborted) {
    const bytes = await bytesIn(folder);
    meter.spooled = (meter.spooled ?? 0) + Math.max(0, bytes - before);
    before = bytes;
    await sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined);
  }
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
