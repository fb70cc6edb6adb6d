import { LonghaulError, type ErrorCode } from '../../core/errors.js';
import type { ColumnShape } from '../../core/model.js';
import type { RecordScanner } from './record-scanner.js';

/** One file, or the one stream of a program. */
export interface Input {
  readonly name?: string;
  /** A chunk's memory is the reader's from then on. */
  readonly chunks: AsyncIterable<Uint8Array>;
}

/** RFC 4180, in UTF-8. */
export interface CsvDialect {
  /** The first record of each input names its columns. */
  readonly header: boolean;
  /** One ASCII character. */
  readonly delimiter: string;
}

export interface ReadOptions {
  /** What the source has to give. */
  readonly columns: readonly ColumnShape[];
  readonly signal: AbortSignal;
  /** Whose rows they are, for errors: `query q017 of connection "legacy"`. */
  readonly subject: string;
}

/** `file "part-3.csv"`, or `the stream` where there is but one. */
export function inputName(input: Pick<Input, 'name'>): string {
  return input.name === undefined ? 'the stream' : `file "${input.name}"`;
}

/** An error of a stream as a whole: nothing behind it is read. */
export function streamError(
  code: ErrorCode,
  options: Pick<ReadOptions, 'subject'>,
  happened: string,
  next: string,
): LonghaulError {
  return new LonghaulError(code, `The rows of ${options.subject} can't be read: ${happened}.`, { next });
}

/** A stream that was cut looks just like one that lacks its last line break: both are refused. */
export function brokenOff(
  input: Pick<Input, 'name'>,
  { recordLine, inQuotes }: Pick<RecordScanner, 'recordLine' | 'inQuotes'>,
  options: ReadOptions,
): LonghaulError {
  return streamError(
    'SourceFailed',
    options,
    `${inputName(input)} broke off in the middle of a record at line ${recordLine}${inQuotes ? ', within quotes' : ''}`,
    'The next attempt reads it anew. If the program had ended well, it has to print a line break behind the last record too' +
      (inQuotes ? ', and to close every quote.' : '.'),
  );
}
