import { LonghaulError } from '../../core/errors.js';
import { bounded } from '../../core/text.js';
import { redactor } from '../redact.js';
import type { ModuleConnectionConfig } from './config.js';
import { FatalError, RetryableError } from './define.js';

/** Of what a module itself says: two or three sentences, and no page of an API. */
const MESSAGE_BYTES = 1_000;

/** What a module is doing. */
export interface Doing {
  /** As the subject of a sentence: `Query q017 of connection "api"`. */
  readonly what: string;
  /** The query's text, which no error repeats. */
  readonly query?: string;
}

/**
 * What a module threw, as an error of the list. Of an error that is not of its two classes the cause is kept: its stack says where in
 * the module to look.
 */
export function moduleError(error: unknown, { what, query }: Doing, config: ModuleConnectionConfig): LonghaulError {
  if (error instanceof LonghaulError) return error;
  const { written } = config;
  const text = sentence(bounded(redactorOf(config, query)(messageOf(error)), MESSAGE_BYTES));
  if (isOf(error, FatalError)) {
    const next = `Mend what it complains of, then retry: the module says that trying again by itself can't help.`;
    return new LonghaulError('SourceRefused', `${what} was refused by ${written}: ${text}`, { next });
  }
  const next = `It is tried again by the job's retry policy; if it stays, look into ${written}.`;
  const known = isOf(error, RetryableError) || !(error instanceof Error);
  return new LonghaulError('SourceFailed', `${what} failed in ${written}: ${text}`, {
    next,
    ...(!known && { cause: error }),
  });
}

/** Of this class, or of that of another copy of this package, as a library of the module's may have one. */
function isOf(error: unknown, of: typeof FatalError | typeof RetryableError): boolean {
  return error instanceof of || (error instanceof Error && error.name === of.name);
}

/** A class that says nothing beside the message is left out; a failed fetch says what failed only in its cause. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const plain = ['Error', 'RetryableError', 'FatalError'].includes(error.name);
  const code = codeOf(error.cause);
  const message = `${plain ? '' : `${error.name}: `}${error.message.trim() || 'it said nothing'}`;
  return code === undefined ? message : `${message} (${code})`;
}

function codeOf(cause: unknown): string | undefined {
  return cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : undefined;
}

/** Puts out of texts what any option holds, since any may be a secret, and the query. */
export function redactorOf({ options }: ModuleConnectionConfig, query?: string): (text: string) => string {
  return redactor(textsOf(options), query);
}

function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsOf) : [];
}

function sentence(text: string): string {
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}
