import { expect, it } from 'vitest';
import type { ColumnShape, TableShape } from '../../src/core/model.js';
import { changesSince, comparedShape, type Compared } from '../../src/core/resume.js';

const id: ColumnShape = { name: 'id', type: 'int', definition: 'int4', notNull: true, generated: false };
const note: ColumnShape = { name: 'note', type: 'text', definition: 'text', notNull: false, generated: false };
const shape = (columns: readonly ColumnShape[]): TableShape => ({ system: 'test', columns, primaryKey: [] });

it('a comment is no part of what is compared of a shape, and nothing else is left out', () => {
  const plain = { ...shape([id, note]), leaves: 'x' };
  expect(JSON.stringify(comparedShape(plain))).toBe(JSON.stringify(plain));
  const said = { ...shape([{ ...id, comment: 'the key' }, note]), comment: 'of notes', leaves: 'x' };
  expect(JSON.stringify(comparedShape(said))).toBe(JSON.stringify(plain));
});

it('of a source that changed, what is told are columns, and no comments', () => {
  const table = (columns: readonly ColumnShape[], sourceShape: string): Compared => ({
    spec: { table: 't', to: 't', mode: 'replace', partition: { by: 'auto' } },
    ...{ shape: shape(columns), fingerprint: { sourceShape } },
  });
  const before = { ...table([id, { ...note, comment: 'old' }], 'a'), state: 'open' } as const;
  const now = table(
    [
      { ...id, default: '7' },
      { ...note, comment: 'new' },
    ],
    'b',
  );
  expect(changesSince([before], [now])).toEqual(['t: its source changed: column id is defined otherwise']);
});
