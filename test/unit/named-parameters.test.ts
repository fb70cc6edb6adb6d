import { describe, expect, it, test } from 'vitest';
import { namesIn, numbered } from '../../src/core/named-parameters.js';

describe('named parameters', () => {
  it('become numbers, each name one', () => {
    const sql = 'UPDATE x SET done = now(), rows = :rows WHERE id = :query_id AND t=:table_name OR id = :query_id';
    expect(numbered(sql)).toEqual({
      text: 'UPDATE x SET done = now(), rows = $1 WHERE id = $2 AND t=$3 OR id = $2',
      names: ['rows', 'query_id', 'table_name'],
    });
    expect(numbered('VACUUM')).toEqual({ text: 'VACUUM', names: [] });
  });

  test.each([
    ['a literal, also one with a doubled quote', "SELECT ':a', 'it''s :b'"],
    ['a literal with a backslash, which ends at its quote', String.raw`SELECT 'C:\' || ':a'`],
    ['an escape literal, which goes on behind an escaped quote', String.raw`SELECT E'\':a', e'x\\'':b'`],
    ['a quoted name', 'SELECT "a:b", "say "":c"""'],
    ['a comment to the end of its line', 'SELECT 1 -- :a\n+ 1'],
    ['a comment in a comment', 'SELECT /* :a /* :b */ :c */ 1'],
    ['a dollar quote', 'SELECT $$ :a $$, $tag$ $$ :b $x$ $tag$'],
    ['a dollar quote of another alphabet', 'SELECT $größe$ :a $größe$'],
    ['a cast', "SELECT now()::date, '1' ::int"],
    ['a slice', 'SELECT a[1:2]'],
    ['an argument by name', 'SELECT f(a := 1)'],
    ['a literal that is never closed', "SELECT ':a"],
    ['a comment that is never closed', 'SELECT /* :a /* */ :b'],
    ['a dollar quote that is never closed', 'SELECT $x$ :a $$'],
  ])('none are in %s', (_, sql) => {
    expect(numbered(sql)).toEqual({ text: sql, names: [] });
  });

  test.each([
    ['behind a literal', String.raw`SELECT 'C:\', :a`, String.raw`SELECT 'C:\', $1`],
    ['behind a comment', 'SELECT 1 --\n,:a', 'SELECT 1 --\n,$1'],
    ['with a cast behind it', 'SELECT :a::int', 'SELECT $1::int'],
    ['behind a name with a dollar in it', 'SELECT a$b$ = :a', 'SELECT a$b$ = $1'],
    ['behind a word that ends with an e', "SELECT type'\\' , :a", "SELECT type'\\' , $1"],
    ['behind a division', 'SELECT 4 / 2 * :a', 'SELECT 4 / 2 * $1'],
    ['at the beginning', ':a', '$1'],
  ])('one is %s', (_, sql, text) => {
    expect(numbered(sql)).toEqual({ text, names: ['a'] });
  });

  it('keep every other character', () => {
    const sql = 'SELECT 😀, $1, :é, a::b, : x, :1';
    expect(namesIn(sql)).toEqual([]);
    expect(numbered(sql).text).toBe(sql);
  });
});
