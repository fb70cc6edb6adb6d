import { describe, expect, it } from 'vitest';
import { canDecodeBinary } from '../../src/connectors/lake/columns/index.js';
import { lakeTypeOf } from '../../src/connectors/lake/types/lake-type-of.js';
import { declared, lakeColumns } from '../support/lake-files.js';

describe('types', () => {
  const typeOf = (type: string, as?: string) => lakeTypeOf(declared('c', type), as);
  it.each([
    ['bigint', 'long'],
    ['int', 'integer'],
    ['smallint', 'short'],
    ['text', 'string'],
    ['char(3)', 'string'],
    ['timestamp(3) with time zone', 'timestamp'],
    ['timestamp', 'timestamp_ntz'],
    ['double precision', 'double'],
    ['real', 'float'],
    ['bytea', 'binary'],
    ['uuid', 'string'],
    ['string', 'string'],
    ['double', 'double'],
    ['timestamp_ntz', 'timestamp_ntz'],
  ])('%s is %s', (type, kind) => {
    expect(typeOf(type)).toEqual({ type: { kind } });
  });

  it('that nobody knows is a mistake', () => {
    expect(typeOf('bigintt')).toMatchObject({ problem: { message: 'column "c": there is no type bigintt' } });
  });

  it('numbers', () => {
    expect(typeOf('numeric(10, 2)')).toEqual({ type: { kind: 'decimal', precision: 10, scale: 2 } });
    expect(typeOf('decimal(5)')).toEqual({ type: { kind: 'decimal', precision: 5, scale: 0 } });
    for (const type of ['numeric', 'numeric(40,2)', 'numeric(5,-2)', 'numeric(2,5)']) {
      expect(typeOf(type)).toMatchObject({
        problem: { path: 'types.c', fix: expect.stringContaining('decimal(38,9)') as string },
      });
      expect(typeOf(type, 'decimal(38,9)')).toEqual({ type: { kind: 'decimal', precision: 38, scale: 9 } });
    }
  });

  it('a declared type has to be one, and to hold what comes', () => {
    expect(typeOf('text', 'number')).toHaveProperty('problem');
    expect(typeOf('text', 'long')).toHaveProperty('problem');
    expect(typeOf('bigint', 'integer')).toHaveProperty('problem');
    expect(typeOf('numeric', 'decimal(39,9)')).toHaveProperty('problem');
    expect(typeOf('numeric', 'double')).toEqual({ type: { kind: 'double' } });
    expect(typeOf('int[]', 'string')).toEqual({ type: { kind: 'string' } });
  });

  it('lists', () => {
    expect(typeOf('numeric(5,1)[]')).toEqual({
      type: { kind: 'list', element: { kind: 'decimal', precision: 5, scale: 1 } },
    });
    expect(typeOf('numeric[]')).toHaveProperty('problem');
  });

  it('binary is decoded where every column can be', () => {
    expect(
      canDecodeBinary(lakeColumns([declared('a', 'bigint'), declared('b', 'uuid'), declared('c', 'text[]')])),
    ).toBe(true);
    const inet = { ...declared('a', 'inet'), definition: '{"builtin":"inet"}' };
    expect(canDecodeBinary(lakeColumns([inet]))).toBe(false);
  });
});
