import type { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { describe, expect, it } from 'vitest';
import { toFailure } from '../../activities/errors.js';
import { LonghaulError } from '../../src/core/errors.js';

const context = { cancellationSignal: new AbortController().signal } as unknown as Context;

describe('what Temporal is told of an error', () => {
  it('has no stack where the error says itself what to do', () => {
    const failure = toFailure(new LonghaulError('SourceFailed', 'The ERP is at lunch.', { next: 'Wait.' }), context);
    expect(failure).toMatchObject({ type: 'SourceFailed', message: 'The ERP is at lunch. Wait.', stack: '' });
    expect(failure).toBeInstanceOf(ApplicationFailure);
  });

  it('has the frames of what caused it, without its message', () => {
    const cause = new TypeError('of hunter2');
    const failure = toFailure(new LonghaulError('SourceFailed', 'It failed.', { cause }), context);
    expect(failure.stack).toContain('failures.test.ts');
    expect(failure.stack).not.toContain('hunter2');
    expect(failure.cause).toBeUndefined();
  });
});
