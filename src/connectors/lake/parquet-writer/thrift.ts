/** Field types of Thrift's compact protocol, as Parquet's metadata needs them. */
const TRUE = 1;
const FALSE = 2;
const I8 = 3;
const I16 = 4;
const I32 = 5;
const I64 = 6;
const BINARY = 8;
const LIST = 9;
const STRUCT = 12;

/** A list's length up to this one stands in its first byte. */
const SHORT_LIST = 14;
const FIRST_BYTES = 1024;

/** Writes one struct in Thrift's compact protocol. Fields have to come in the order of their ids. */
export class ThriftWriter {
  #bytes = Buffer.allocUnsafe(FIRST_BYTES);
  #at = 0;
  #lastId = 0;

  /** The fields that `fill` writes, and the end of the struct. */
  static struct(fill: (writer: ThriftWriter) => void): Uint8Array {
    const writer = new ThriftWriter();
    fill(writer);
    writer.#byte(0);
    return Uint8Array.from(writer.#bytes.subarray(0, writer.#at));
  }

  bool(id: number, value: boolean): void {
    this.#field(id, value ? TRUE : FALSE);
  }

  i8(id: number, value: number): void {
    this.#field(id, I8);
    this.#byte(value);
  }

  i16(id: number, value: number): void {
    this.#field(id, I16);
    this.#zigzag(value);
  }

  i32(id: number, value: number): void {
    this.#field(id, I32);
    this.#zigzag(value);
  }

  i64(id: number, value: number): void {
    this.#field(id, I64);
    this.#zigzag(value);
  }

  binary(id: number, value: Uint8Array): void {
    this.#field(id, BINARY);
    this.#varint(value.length);
    this.#raw(value);
  }

  string(id: number, value: string): void {
    this.binary(id, Buffer.from(value, 'utf8'));
  }

  struct(id: number, fill: (writer: ThriftWriter) => void): void {
    this.#field(id, STRUCT);
    this.#nested(fill);
  }

  enums(id: number, values: readonly number[]): void {
    this.#list(id, I32, values.length);
    for (const value of values) this.#zigzag(value);
  }

  strings(id: number, values: readonly string[]): void {
    this.#list(id, BINARY, values.length);
    for (const value of values) {
      const bytes = Buffer.from(value, 'utf8');
      this.#varint(bytes.length);
      this.#raw(bytes);
    }
  }

  structs<T>(id: number, items: readonly T[], fill: (writer: ThriftWriter, item: T) => void): void {
    this.#list(id, STRUCT, items.length);
    for (const item of items) this.#nested((writer) => fill(writer, item));
  }

  /** Structs that were written before, each by `ThriftWriter.struct`. */
  written(id: number, structs: readonly Uint8Array[]): void {
    this.#list(id, STRUCT, structs.length);
    for (const struct of structs) this.#raw(struct);
  }

  #nested(fill: (writer: ThriftWriter) => void): void {
    const outer = this.#lastId;
    this.#lastId = 0;
    fill(this);
    this.#byte(0);
    this.#lastId = outer;
  }

  #field(id: number, type: number): void {
    this.#byte(((id - this.#lastId) << 4) | type);
    this.#lastId = id;
  }

  #list(id: number, type: number, length: number): void {
    this.#field(id, LIST);
    if (length <= SHORT_LIST) {
      this.#byte((length << 4) | type);
    } else {
      this.#byte(0xf0 | type);
      this.#varint(length);
    }
  }

  #zigzag(value: number): void {
    this.#varint(value >= 0 ? value * 2 : value * -2 - 1);
  }

  #varint(value: number): void {
    let rest = value;
    for (; rest > 0x7f; rest = Math.floor(rest / 128)) this.#byte((rest % 128) | 0x80);
    this.#byte(rest);
  }

  #byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#at++] = value;
  }

  #raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  #reserve(more: number): void {
    if (this.#at + more <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + more));
    this.#bytes.copy(grown, 0, 0, this.#at);
    this.#bytes = grown;
  }
}
