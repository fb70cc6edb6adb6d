import { describe, expect, test } from 'vitest';
import { explore, NO_WAY_TO_AN_END } from './explore.js';
import { INSTANCES } from './instances.js';
import { modelOf } from './model.js';
import { RULES, type Rule } from './rules.js';

const TWICE = 'a row is in the target twice';
const OTHERS_RECEIPT = 'a receipt answered for another predicate';
const MISSING = 'a row is missing in the published target';

describe('with every rule in force', () => {
  test.each(Object.values(INSTANCES))('nothing goes wrong, whatever happens: $name', (instance) => {
    const { states, steps, depth, violation } = explore(modelOf(instance));
    expect(violation).toBeUndefined();
    console.log(`${instance.name}: ${states} states, ${steps} steps, ${depth} deep: no violation`);
  });
});

interface Broken {
  readonly broken: readonly Rule[];
  readonly instance: keyof typeof INSTANCES;
  readonly finds: string;
}

/** What comes of it, told by what people see; each with an instance that is small and shows it. */
const BROKEN: readonly Broken[] = [
  { broken: ['receipt conflict'], instance: 'resuming', finds: TWICE },
  { broken: ['one transaction'], instance: 'crashing', finds: TWICE },
  { broken: ['partition lock'], instance: 'resuming', finds: NO_WAY_TO_AN_END },
  { broken: ['brief rows'], instance: 'resuming', finds: NO_WAY_TO_AN_END },
  { broken: ['publish lock', 'brief rows'], instance: 'crashing', finds: NO_WAY_TO_AN_END },
  { broken: ['stored plan'], instance: 'planning', finds: TWICE },
  { broken: ['state check'], instance: 'resuming', finds: 'was committed to a table' },
  { broken: ['state check', 'no new staging under receipts'], instance: 'starting over', finds: MISSING },
  { broken: ['check holds the row'], instance: 'resuming', finds: 'was committed to a table' },
  {
    broken: ['check compares the snapshot', 'no new staging under receipts'],
    instance: 'starting over',
    finds: MISSING,
  },
  { broken: ['start over updates first', 'no new staging under receipts'], instance: 'starting over', finds: MISSING },
  { broken: ['staging by snapshot'], instance: 'starting over', finds: TWICE },
  { broken: ['re-read at publish'], instance: 'servers', finds: MISSING },
  { broken: ['logged staging'], instance: 'servers', finds: MISSING },
  { broken: ['state at the swap'], instance: 'discarding', finds: 'was published' },
  { broken: ['wait for readers'], instance: 'skipping', finds: 'a reader saw a part' },
  { broken: ['skip writes a receipt'], instance: 'skipping', finds: 'reported as skipped' },
  { broken: ['close before ending'], instance: 'discarding', finds: 'has staging' },
  { broken: ['prepare checks the state'], instance: 'discarding', finds: 'has staging' },
];

describe('with a rule taken out', () => {
  test.each(BROKEN)('$broken, in $instance: $finds', ({ broken, instance, finds }) => {
    const { violation } = explore(modelOf(INSTANCES[instance], { broken, outside: true }));
    const trace = violation?.trace ?? [];
    console.log([`${broken.join(', ')}: ${violation?.what ?? 'no violation'}`, ...trace].join('\n  '));
    expect(violation?.what).toContain(finds);
  });

  /** What else stops what it would stop is in docs/protocol.md. */
  const SECOND: readonly (readonly [Rule, keyof typeof INSTANCES])[] = [
    ['predicate hash', 'planning'],
    ['publish lock', 'resuming'],
    ['brief rows', 'crashing'],
    ['no new staging under receipts', 'starting over'],
    ['check compares the snapshot', 'starting over'],
    ['start over updates first', 'starting over'],
  ];

  test.each(SECOND)('another rule stands behind it: %s, in %s', (rule, name) => {
    expect(explore(modelOf(INSTANCES[name], { broken: [rule], outside: true })).violation).toBeUndefined();
  });

  /** Its answer would be wrong wherever plans change, and then what is missing is missing in silence. */
  test.each([
    { broken: ['stored plan'], finds: undefined },
    { broken: ['stored plan', 'predicate hash'], finds: OTHERS_RECEIPT },
  ] as const)('where a plan may change, the hash decides whether a receipt answers: $broken', ({ broken, finds }) => {
    const { violation } = explore(modelOf(INSTANCES.planning, { broken, outside: true, only: OTHERS_RECEIPT }));
    expect(violation?.what).toBe(finds);
  });

  test('no rule is forgotten', () => {
    const taken = new Set<Rule>([...BROKEN.flatMap(({ broken }) => broken), 'predicate hash']);
    expect([...taken].sort()).toEqual(Object.keys(RULES).sort());
  });
});
