import { didYouMean } from '../../core/suggest.js';
import { bounded } from '../../core/text.js';
import { splitRecord } from './csv-record.js';
import { inputName, streamError, type CsvDialect, type Input, type ReadOptions } from './input.js';
import { withoutLineBreak } from './record-scanner.js';

/** More than this is no header. */
const SHOWN_BYTES = 200;

/** The names in an input's first record; they are the columns', all of them, in any order. Throws SourceRefused. */
export function readHeader(
  record: Buffer,
  input: Pick<Input, 'name'>,
  { delimiter }: CsvDialect,
  options: ReadOptions,
): readonly string[] {
  const split = splitRecord(withoutLineBreak(record).toString('utf8'), delimiter);
  if ('error' in split) throw columnsRefused(`the header of ${inputName(input)} is no CSV: ${split.error}`, options);
  const names = split.fields.map((field) => field ?? '');
  const wrong = wrongNames(names, options);
  if (wrong !== undefined) throw columnsRefused(`the header of ${inputName(input)} ${wrong}`, options);
  return names;
}

/** What is wrong with the names that a source gives its columns; undefined: nothing. */
export function wrongNames(names: readonly string[], { columns }: Pick<ReadOptions, 'columns'>): string | undefined {
  const wanted = columns.map(({ name }) => name);
  const missing = wanted.filter((name) => !names.includes(name));
  const unknown = names.filter((name) => !wanted.includes(name));
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (missing.length > 0) return `lacks ${listed(missing)}${meant(missing[0]!, unknown)}`;
  if (unknown.length > 0) return `has ${listed(unknown)}, which the table to be copied has not`;
  return twice === undefined ? undefined : `has ${listed([twice])} twice`;
}

/** An error of columns that are not those which the source has to give. */
export function columnsRefused(happened: string, options: Pick<ReadOptions, 'columns' | 'subject'>): Error {
  const wanted = options.columns.map(({ name }) => name).join(', ');
  return streamError(
    'SourceRefused',
    options,
    happened,
    `Give the columns ${bounded(wanted, SHOWN_BYTES)}, in any order, by these names; \`columns\` in the job file chooses which.`,
  );
}

function listed(names: readonly string[]): string {
  const shown = bounded(names.map((name) => `"${name}"`).join(', '), SHOWN_BYTES);
  return `the column${names.length === 1 ? '' : 's'} ${shown}`;
}

function meant(missing: string, unknown: readonly string[]): string {
  const near = didYouMean(missing, unknown);
  return near === undefined ? '' : ` (it has "${bounded(near, SHOWN_BYTES)}")`;
}
