import type { ColumnShape } from '../../../core/model.js';
import type { Row } from '../../types.js';
import { CopyText } from './copy-text.js';
import { Refusal, wrongKind } from './refusal.js';
import { toTextOf, type ToText } from './to-text.js';

/** Writes rows in COPY's text format, as these columns of a table take them, in this order. */
export class RowEncoder {
  readonly text = new CopyText();
  readonly #columns: readonly { readonly name: string; readonly type: string; readonly toText: ToText }[];

  constructor(columns: readonly ColumnShape[]) {
    this.#columns = columns.map((column) => ({ name: column.name, type: column.type, toText: toTextOf(column) }));
  }

  /** Throws Refusal, and nothing of the row is written then. */
  add(row: Row): void {
    const before = this.text.length;
    try {
      if (row.length !== this.#columns.length) throw wrongCount(row.length, this.#columns.length);
      for (let index = 0; index < row.length; index++) this.#value(row, index);
      this.text.endRow();
    } catch (cause) {
      this.text.truncate(before);
      throw cause;
    }
  }

  #value(row: Row, index: number): void {
    const value = row[index];
    if (index > 0) this.text.tab();
    if (value === null) {
      this.text.null();
      return;
    }
    const { name, type, toText } = this.#columns[index]!;
    try {
      if (value === undefined) throw wrongKind(value, type);
      this.text.text(toText(value));
    } catch (cause) {
      if (cause instanceof Refusal) cause.column = name;
      throw cause;
    }
  }
}

function wrongCount(has: number, wanted: number): Refusal {
  return new Refusal(`it has ${has} value${has === 1 ? '' : 's'}, and there are ${wanted} columns`);
}
