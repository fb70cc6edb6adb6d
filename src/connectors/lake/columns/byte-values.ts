import { ValueRefused, type Batch } from './batch.js';

/** Bytes of one value that is not NULL, written at `to` of `data`, where there is place for `room(length)`; answers how many. Throws ValueRefused. */
export interface PutBytes {
  room(length: number): number;
  put(batch: Batch, at: number, length: number, data: Uint8Array, to: number): number;
}

const HEXADECIMAL = '0123456789abcdef';
const DASHES_AFTER = new Set([3, 5, 7, 9]);

/** 16 bytes as `123e4567-e89b-12d3-a456-426614174000`. */
export const binaryUuid: PutBytes = {
  room: () => 36,
  put({ bytes }, at, _length, data, to) {
    let next = to;
    for (let index = 0; index < 16; index++) {
      const byte = bytes[at + index]!;
      data[next++] = HEXADECIMAL.charCodeAt(byte >> 4);
      data[next++] = HEXADECIMAL.charCodeAt(byte & 15);
      if (DASHES_AFTER.has(index)) data[next++] = 0x2d;
    }
    return next - to;
  },
};

/** A byte that says the version of the form, and the text. */
export const binaryJsonb: PutBytes = {
  room: (length) => length,
  put({ bytes }, at, length, data, to) {
    if (bytes[at] !== 1) throw new ValueRefused(`its jsonb is of the unknown version ${bytes[at]!}`);
    data.set(bytes.subarray(at + 1, at + length), to);
    return length - 1;
  },
};

/** Microseconds since midnight as `10:00:00.5`, as the server prints them. */
export const binaryTime: PutBytes = {
  room: () => 15,
  put({ view }, at, _length, data, to) {
    const micros = Number(view.getBigInt64(at));
    const pad = (value: number, places: number) => String(value).padStart(places, '0');
    const seconds = Math.floor(micros / 1_000_000);
    const fraction = pad(micros % 1_000_000, 6).replace(/0+$/, '');
    const whole = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
    const text = whole.map((part) => pad(part, 2)).join(':') + (fraction === '' ? '' : `.${fraction}`);
    return Buffer.from(data.buffer, data.byteOffset + to).write(text, 'latin1');
  },
};

/** `\x` and hexadecimal digits, or text with backslashes before octal ones. */
export const textBytea: PutBytes = {
  room: (length) => length,
  put({ bytes }, at, length, data, to) {
    if (bytes[at] === 0x5c && bytes[at + 1] === 0x78) return putHex(bytes, at + 2, length - 2, data, to);
    let next = to;
    for (let index = at; index < at + length; index++) {
      if (bytes[index] !== 0x5c) data[next++] = bytes[index]!;
      else if (bytes[index + 1] === 0x5c && index + 1 < at + length) data[next++] = bytes[++index]!;
      else {
        const octal = Buffer.from(bytes.buffer, bytes.byteOffset + index + 1, 3).toString('latin1');
        if (!/^[0-3][0-7]{2}$/.test(octal) || index + 3 >= at + length) throw noBytes();
        data[next++] = parseInt(octal, 8);
        index += 3;
      }
    }
    return next - to;
  },
};

export function putHex(bytes: Uint8Array, at: number, length: number, data: Uint8Array, to: number): number {
  if (length % 2 !== 0) throw noBytes();
  for (let index = 0; index < length / 2; index++) {
    const high = nibble(bytes[at + index * 2]!);
    const low = nibble(bytes[at + index * 2 + 1]!);
    if (high < 0 || low < 0) throw noBytes();
    data[to + index] = (high << 4) | low;
  }
  return length / 2;
}

function nibble(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

function noBytes(): ValueRefused {
  return new ValueRefused('it is no value of bytes');
}
