import { MockActivityEnvironment } from '@temporalio/testing';
import { ApplicationFailure, Context } from '@temporalio/activity';
import { expect, it } from 'vitest';
import { toFailure } from '../../activities/errors.js';
import { LonghaulError } from '../../src/core/errors.js';

it('an attempt is told of by why it ended, whatever failed while its sessions were ended', async () => {
  const ended = (what: string): AsyncDisposable => ({
    [Symbol.asyncDispose]: () => Promise.reject(new LonghaulError('Unknown', `${what} was not ended`)),
  });
  const attempt = async (): Promise<never> => {
    await using _destination = ended('the destination');
    await using _source = ended('the source');
    throw await Promise.resolve(new LonghaulError('ConnectionFailed', 'the store is away'));
  };
  const failure = await new MockActivityEnvironment().run(() =>
    attempt().catch((error: unknown) => toFailure(error, Context.current())),
  );
  expect(failure).toBeInstanceOf(ApplicationFailure);
  expect(failure).toMatchObject({ type: 'ConnectionFailed', message: 'the store is away' });
});
