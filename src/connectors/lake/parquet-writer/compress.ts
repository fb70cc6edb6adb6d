import zstd from '@toondepauw/node-zstd';
import snappy from 'snappy';

export type Compression = 'zstd' | 'snappy';

/** Compresses one page. */
export type Compressor = (bytes: Uint8Array) => Uint8Array;

/** By their numbers in Parquet's metadata. */
export const CODECS: Readonly<Record<Compression, number>> = { snappy: 1, zstd: 6 };

/** The next levels take twice the time for a few percent of size. */
const ZSTD_LEVEL = 1;

export function compressorOf(compression: Compression): Compressor {
  if (compression === 'snappy') return (bytes) => snappy.compressSync(bytes);
  const encoder = new zstd.Encoder(ZSTD_LEVEL);
  return (bytes) => encoder.encodeSync(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
}
