import { describe, expect, it } from 'vitest';
import { stagingOf, temporaryName } from '../../src/connectors/postgres/destination/staging-name.js';
import { lockKey, predicateHash } from '../../src/connectors/hash.js';

const partition = { ordinal: 0, label: '1/2', relation: 'public.t', predicate: 'id < 5' };

describe('a predicate hash', () => {
  const hash = predicateHash(partition, ['a', 'b']);

  it('is of what is read', () => {
    const others = [
      predicateHash({ ...partition, predicate: 'id < 6' }, ['a', 'b']),
      predicateHash({ ...partition, relation: 'public.u' }, ['a', 'b']),
      predicateHash({ ordinal: 0, label: '1/2', predicate: 'id < 5' }, ['a', 'b']),
      predicateHash(partition, ['b', 'a']),
      predicateHash(partition, ['ab']),
      predicateHash(partition, ['a,b']),
    ];
    expect(new Set([hash, ...others]).size).toBe(others.length + 1);
  });

  it('is not of how it is called', () => {
    expect(predicateHash({ ...partition, ordinal: 7, label: 'q', estimatedRows: 9 }, ['a', 'b'])).toBe(hash);
  });

  it('is the same in every version, since receipts hold it', () => {
    expect(hash).toBe('1bfca9ac9183a1bbb8a8ade88e1f93677f10f1d6e64433d8372fa220381b125a');
  });
});

it('a lock key is a signed 64-bit integer that keeps its parts apart', () => {
  expect(lockKey('a', 'bc', 1)).not.toBe(lockKey('ab', 'c', 1));
  expect(BigInt.asIntN(64, BigInt(lockKey('a', 2))).toString()).toBe(lockKey('a', 2));
});

it('staging lies in the schema of its target, under a name that is not cut', () => {
  const long = 'x'.repeat(63);
  const staging = stagingOf('run', `${long}.${long}`, `"a.b".${long}`);
  expect(staging.schema).toBe('a.b');
  expect(staging.name).toMatch(/^_longhaul_[0-9a-f]{24}$/);
  expect(temporaryName(staging, long).length).toBeLessThanOrEqual(63);
  expect(stagingOf('run 2', 't', 'public.t').name).not.toBe(stagingOf('run', 't', 'public.t').name);
});
