import { LonghaulError } from '../../../core/errors.js';
import type { LakeType } from '../../lake/model.js';

/**
 * A value of a partition column as the log has it, of the text that a `Value` of core types is. Throws DataRejected for what would come
 * back as another value.
 */
export function partitionValueText(column: string, type: LakeType, text: string | null): string | null {
  if (text === null) return null;
  if (text === '') throw unfit(column, 'the empty text, which every engine reads as NULL there');
  if (type.kind === 'timestamp') return `${clock(text).replace(' ', 'T')}Z`; // without a zone, an engine would read it in its own
  return type.kind === 'timestamp_ntz' ? clock(text) : text;
}

/** With all six digits of a fraction, if there is one, and without its zone, which is UTC. */
function clock(text: string): string {
  const [time, fraction] = text.replace(/\+00$/, '').split('.') as [string, string?];
  return fraction === undefined ? time : `${time}.${fraction.padEnd(6, '0')}`;
}

function unfit(column: string, what: string): LonghaulError {
  return new LonghaulError('DataRejected', `Column "${column}", by which the table is partitioned, holds ${what}`, {
    next: 'Partition the table by another column, or give NULL or another text in a query of the job.',
  });
}
