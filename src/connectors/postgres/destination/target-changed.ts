import type { TableRecord } from '../../../core/model.js';
import { LonghaulError } from '../../../core/errors.js';
import type { PgSession } from '../session.js';

/** `what`: lines that say what is different, when more is known than that something is. */
export function targetChanged(session: PgSession, record: TableRecord, what: readonly string[] = []): LonghaulError {
  const { spec, run } = record;
  const detail = what.length === 0 ? '' : `:\n${what.join('\n')}\n`;
  return new LonghaulError(
    'TargetChanged',
    `Target ${spec.to} of connection "${session.name}" is no longer what run ${run} was checked against${detail}${detail === '' ? '. ' : ''}It was left as it is, and so was what the run has loaded.`,
    { next: 'Undo the change and start the job with `resume`, or start it anew.' },
  );
}
