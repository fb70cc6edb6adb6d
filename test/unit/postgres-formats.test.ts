import { describe, expect, test } from 'vitest';
import { binaryNeeds14, compareColumns, copyFormats } from '../../src/connectors/postgres/formats.js';
import type { TypeNode } from '../../src/connectors/postgres/types.js';
import type { ColumnShape } from '../../src/core/model.js';

const b = (builtin: string): TypeNode => ({ builtin });
const array = (node: TypeNode): TypeNode => ({ array: node });
const mood: TypeNode = { enum: ['sad', 'ok'] };
const citext: TypeNode = { extension: 'citext', version: '1.6', type: 'citext' };
const regclass: TypeNode = { builtin: 'regclass', textOnly: true };
const pair: TypeNode = { composite: [['x', 'integer', b('int4')]] };

function column(type: string, node: TypeNode, over: Partial<ColumnShape> = {}): ColumnShape {
  return { name: 'c', type, definition: JSON.stringify(node), notNull: false, generated: false, ...over };
}

type Fit = 'binary' | 'text' | 'refused';
const fit = (source: [string, TypeNode], target: [string, TypeNode]): Fit => {
  const { format, findings } = compareColumns([column(...source)], [column(...target)]);
  return findings.some(({ severity }) => severity === 'problem') ? 'refused' : format;
};

const varchar = (n?: number): [string, TypeNode] => [
  `character varying${n === undefined ? '' : `(${n})`}`,
  b('varchar'),
];
const numeric = (m = ''): [string, TypeNode] => [`numeric${m}`, b('numeric')];
const simple = (name: string): [string, TypeNode] => [name, b(name)];

describe('columns of equal definition', () => {
  test.each<[string, [string, TypeNode], [string, TypeNode], Fit]>([
    ['equal', simple('int4'), simple('int4'), 'binary'],
    ['varchar wider', varchar(3), varchar(5), 'binary'],
    ['varchar unlimited', varchar(3), varchar(), 'binary'],
    ['varchar narrower', varchar(5), varchar(3), 'refused'],
    ['varchar limited', varchar(), varchar(3), 'refused'],
    ['numeric unlimited', numeric('(10,2)'), numeric(), 'binary'],
    ['numeric wider', numeric('(10,2)'), numeric('(12,4)'), 'binary'],
    ['numeric fewer integer digits', numeric('(10,2)'), numeric('(10,4)'), 'refused'],
    ['numeric lower scale', numeric('(10,2)'), numeric('(12,1)'), 'refused'],
    ['numeric limited', numeric(), numeric('(30,2)'), 'refused'],
    ['numeric negative scale', numeric('(2,-3)'), numeric('(5,0)'), 'binary'],
    ['char pads', ['character(3)', b('bpchar')], ['character(5)', b('bpchar')], 'refused'],
    ['bit is exact', ['bit(3)', b('bit')], ['bit(5)', b('bit')], 'refused'],
    ['varbit wider', ['bit varying(3)', b('varbit')], ['bit varying(5)', b('varbit')], 'binary'],
    [
      'timestamp rounds',
      ['timestamp without time zone', b('timestamp')],
      ['timestamp(3) without time zone', b('timestamp')],
      'refused',
    ],
    [
      'timestamp wider',
      ['timestamp(3) without time zone', b('timestamp')],
      ['timestamp without time zone', b('timestamp')],
      'binary',
    ],
    ['interval fields', ['interval', b('interval')], ['interval day to second', b('interval')], 'refused'],
    [
      'arrays of wider',
      ['character varying(3)[]', array(b('varchar'))],
      ['character varying(9)[]', array(b('varchar'))],
      'binary',
    ],
    [
      'arrays of narrower',
      ['character varying(9)[]', array(b('varchar'))],
      ['character varying(3)[]', array(b('varchar'))],
      'refused',
    ],
    ['regclass', ['regclass', regclass], ['regclass', regclass], 'text'],
    ['composite of another name', ['public.pair', pair], ['dw.pair', pair], 'binary'],
    ['array of an enum of another name', ['public.mood[]', array(mood)], ['dw.mood[]', array(mood)], 'binary'],
    ['extension modifiers', ['public.g(Point,1)', citext], ['dw.g(Point,1)', citext], 'binary'],
    ['other extension modifiers', ['public.g(Point,1)', citext], ['public.g(Point,2)', citext], 'refused'],
    ['opaque', ['public.odd', { opaque: 'public.odd' }], ['public.odd', { opaque: 'public.odd' }], 'text'],
    [
      'domain as its base',
      ['public.code', { domain: b('varchar'), type: 'character varying(3)' }],
      varchar(3),
      'binary',
    ],
    [
      'domain narrower than base',
      varchar(5),
      ['public.code', { domain: b('varchar'), type: 'character varying(3)' }],
      'refused',
    ],
  ])('%s', (_, source, target, expected) => {
    expect(fit(source, target)).toBe(expected);
  });
});

describe('columns of different definition', () => {
  test.each<[[string, TypeNode], [string, TypeNode], Fit]>([
    [simple('int4'), simple('int8'), 'text'],
    [simple('int2'), simple('int4'), 'text'],
    [simple('int8'), simple('int4'), 'refused'],
    [simple('int8'), simple('float8'), 'refused'],
    [simple('int4'), simple('float8'), 'text'],
    [simple('int4'), simple('float4'), 'refused'],
    [simple('int8'), numeric(), 'text'],
    [simple('int8'), numeric('(19,0)'), 'text'],
    [simple('int8'), numeric('(18,0)'), 'refused'],
    [simple('float4'), simple('float8'), 'refused'],
    [varchar(3), simple('text'), 'binary'],
    [simple('text'), varchar(), 'binary'],
    [simple('text'), varchar(10), 'refused'],
    [['character(3)', b('bpchar')], simple('text'), 'text'],
    [simple('uuid'), simple('text'), 'text'],
    [simple('timestamp'), simple('timestamptz'), 'refused'],
    [simple('date'), simple('timestamp'), 'text'],
    [simple('json'), simple('jsonb'), 'refused'],
    [simple('jsonb'), simple('json'), 'text'],
    [['public.mood', mood], ['dw.mood', { enum: ['sad', 'ok', 'happy'] }], 'text'],
    [['public.mood', mood], ['dw.mood', { enum: ['ok'] }], 'refused'],
    [['public.citext', citext], ['public.citext', { ...citext, version: '1.5' }], 'text'],
    [simple('text'), ['public.citext', citext], 'text'],
    [['integer[]', array(b('int4'))], ['bigint[]', array(b('int8'))], 'text'],
    [['text[]', array(b('text'))], ['varchar[]', array(b('varchar'))], 'text'],
    [simple('int4'), ['integer[]', array(b('int4'))], 'refused'],
    [['public.pair', pair], ['public.pair', { composite: [['x', 'bigint', b('int8')]] }], 'refused'],
    [['money', { builtin: 'money', textOnly: true }], numeric(), 'refused'],
  ])('%j → %j: %s', (source, target, expected) => {
    expect(fit(source, target)).toBe(expected);
  });
});

describe('columns by name', () => {
  const id = column('integer', b('int4'), { name: 'id', notNull: true });

  test('one text column makes the whole table text; order does not matter', () => {
    const source = [id, column('regclass', regclass)];
    expect(compareColumns(source, [...source].reverse())).toEqual({ format: 'text', findings: [] });
  });

  test('missing, generated and unfilled columns', () => {
    const target = [
      column('integer', b('int4'), { name: 'id', generated: true }),
      column('text', b('text'), { name: 'must', notNull: true }),
      column('text', b('text'), { name: 'may' }),
      column('bigint', b('int8'), { name: 'counter', notNull: true, identity: 'always' }),
    ];
    const { findings } = compareColumns([id, column('integer', b('int4'))], target);
    expect(findings.map(({ severity, message }) => `${severity}: ${message}`)).toEqual([
      'problem: column "id" is generated in the target',
      'problem: column "c" is not in the target',
      'problem: column "must" of the target is NOT NULL, without a default, and not copied',
      'warning: column "may" of the target is not copied: it gets NULL',
    ]);
  });

  test('a problem names column and both types', () => {
    const { findings } = compareColumns([column('bigint', b('int8'))], [column('integer', b('int4'))]);
    expect(findings[0]!.message).toBe(
      'column "c": bigint of the source may not fit unchanged into integer of the target',
    );
  });

  test('NULLs that the target refuses are foreseen', () => {
    const { findings } = compareColumns(
      [column('integer', b('int4'))],
      [column('integer', b('int4'), { notNull: true })],
    );
    expect(findings).toMatchObject([{ severity: 'warning' }]);
  });
});

test('binary is offered only where every column has it', () => {
  expect(copyFormats([column('integer', b('int4'))])).toEqual(['postgres.copy.binary', 'postgres.copy.text']);
  expect(copyFormats([column('regclass[]', array(regclass))])).toEqual(['postgres.copy.text']);
  expect(copyFormats([column('public.odd', { opaque: 'public.odd' })])).toEqual(['postgres.copy.text']);
});

test.each<[string, TypeNode, boolean]>([
  ['a built-in', b('int4'), false],
  ['an array of built-ins', array(b('int4')), false],
  ['a user type by itself', mood, false],
  ['a range of a user type', { range: citext }, false],
  ['an array of a user type', array(mood), true],
  ['a composite of built-ins', { composite: [['x', 'integer[]', array(b('int4'))]] }, false],
  ['a composite of a user type', { composite: [['x', 'public.mood', mood]] }, true],
  ['a domain over such an array', { domain: array(citext), type: 'public.citext[]' }, true],
])('OIDs of user types: %s', (_, node, expected) => {
  expect(binaryNeeds14([column('t', node)])).toBe(expected);
});
