import { expect, test } from 'vitest';
import {
  formatRelation,
  parsePattern,
  parseRelation,
  quoteIdent,
  quoteLiteral,
  requireRelation,
} from '../../src/connectors/postgres/sql.js';
import { beginStatements } from '../../src/connectors/postgres/transaction.js';

test.each([
  ['public.orders', { schema: 'public', name: 'orders' }],
  ['orders', { schema: 'public', name: 'orders' }],
  ['Sales.Orders', { schema: 'Sales', name: 'Orders' }],
  ['"a.b"."c""d"', { schema: 'a.b', name: 'c"d' }],
  ['" "', { schema: 'public', name: ' ' }],
  ['a.b.c', undefined],
  ['a.', undefined],
  ['.a', undefined],
  ['""', undefined],
  ['"a', undefined],
  ['a"b', undefined],
  ['', undefined],
])('parseRelation(%j)', (text, expected) => {
  expect(parseRelation(text)).toEqual(expected);
});

test.each([
  ['sales.*', { schema: 'sales', name: '%' }],
  ['*.order_*', { schema: '%', name: 'order\\_%' }],
  ['s."*"', { schema: 's', name: '*' }],
  ['50%.x', { schema: '50\\%', name: 'x' }],
])('parsePattern(%j)', (text, expected) => {
  expect(parsePattern(text)).toEqual(expected);
});

test('a formatted relation is read back as it was', () => {
  for (const name of ['orders', 'Orders', 'a b', 'a.b', 'a"b', 'a*', '{x}', 'größe']) {
    const relation = { schema: name, name: `x${name}` };
    expect(parseRelation(formatRelation(relation))).toEqual(relation);
  }
  expect(formatRelation({ schema: 'public', name: 'Orders' })).toBe('public.Orders');
});

test('quoting', () => {
  expect(quoteIdent('a"b')).toBe('"a""b"');
  expect(quoteLiteral("it's")).toBe("'it''s'");
  expect(quoteLiteral('a\\b')).toBe("E'a\\\\b'");
});

test('a text that is no table is StatementInvalid', () => {
  expect(() => requireRelation('a.b.c')).toThrow(expect.objectContaining({ code: 'StatementInvalid' }) as Error);
});

test('a transaction states its isolation, and settings of the connection do not reach what is pinned', () => {
  const sql = beginStatements('source', 150000, { work_mem: '1GB', Row_Security: 'on', search_path: 'evil' });
  expect(sql).toMatch(/^BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; /);
  expect(sql).toContain(`SET LOCAL "work_mem" TO '1GB'`);
  expect(sql).toContain(`SET LOCAL "row_security" TO 'off'`);
  expect(sql).not.toMatch(/evil|Row_Security|transaction_timeout|synchronous_commit/);
  const destination = beginStatements('destination', 170000, {});
  expect(destination).toMatch(/^BEGIN ISOLATION LEVEL READ COMMITTED; /);
  expect(destination).toContain(`"synchronous_commit" TO 'on'`);
  expect(destination).toContain(`"transaction_timeout" TO '0'`);
});
