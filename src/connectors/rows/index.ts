export type { CsvDialect, Input, ReadOptions } from './input.js';
export { passCsv } from './pass-csv.js';
export { readCsv } from './read-csv.js';
export { readNdjson } from './read-ndjson.js';
export { readParquet } from './parquet/read-parquet.js';
