import { expect, test } from 'vitest';
import { explore, NO_WAY_TO_AN_END, type Model, type Step } from './explore.js';

/** Numbers from 0, that go up by one or double, to 8. */
function counting(part: Partial<Model<number>> = {}): Model<number> {
  const up = (to: number, name: string): Step<number> => ({ name, to, sure: true });
  return {
    initial: 1,
    steps: (n) => [up(n + 1, 'add'), up(n * 2, 'double')].filter(({ to }) => to <= 8),
    key: String,
    violation: () => undefined,
    isEnd: (n) => n === 8,
    ...part,
  };
}

test('every state is walked once', () => {
  expect(explore(counting())).toEqual({ states: 8, steps: 11, depth: 4 });
});

test('a violation comes with a shortest trace', () => {
  const { violation } = explore(counting({ violation: (n) => (n === 7 ? 'seven' : undefined) }));
  expect(violation).toEqual({ what: 'seven', trace: ['add', 'add', 'double', 'add'] });
});

test('a state without a way to an end is found, and only sure steps are a way', () => {
  const unsure = counting({ steps: (n) => (n < 8 ? [{ name: 'add', to: n + 1, sure: n !== 4 }] : []) });
  expect(explore(unsure).violation).toEqual({ what: NO_WAY_TO_AN_END, trace: [] });
});

test('a model that is too large is no result', () => {
  expect(() => explore(counting(), 5)).toThrow('more than 5 states');
});
