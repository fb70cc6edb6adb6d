import { counted } from '../../../core/text.js';
import type { TableRecord } from '../../../core/model.js';
import type { DataFile } from '../model.js';

/** Fewer files are read fast, however small; larger ones are, however many. */
const MANY = 500;
const SMALL_BYTES = 1 << 20;

/** How many files go by, and how large they are. */
export class CountedFiles {
  files = 0;
  bytes = 0;

  async *of(files: AsyncIterable<DataFile>): AsyncGenerator<DataFile> {
    [this.files, this.bytes] = [0, 0];
    for await (const file of files) {
      this.files++;
      this.bytes += file.size;
      yield file;
    }
  }
}

/** What is to be said of a table whose readers have to open many small files. */
export function smallFiles({ files, bytes }: CountedFiles, { spec }: Pick<TableRecord, 'spec'>): string | undefined {
  if (files < MANY || bytes / files >= SMALL_BYTES) return undefined;
  const what = `it was written as ${counted(files, 'file')} of ${Math.ceil(bytes / files / 1024)} kB on average, each of which a reader opens`;
  if (spec.partitionBy === undefined) return `${what}; make larger partitions, as by partition: {size: 1GB}`;
  return `${what}; cut the copy by what partitionBy keeps apart (partition: {by: ...}), make larger partitions, or partition by a column of fewer values`;
}
