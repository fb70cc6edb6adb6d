export { canDecodeBinary, writeDataFiles, type WriteOptions, type WrittenFiles } from './write-data-files.js';
