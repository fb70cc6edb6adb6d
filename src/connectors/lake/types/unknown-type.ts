import { LonghaulError } from '../../../core/errors.js';

/** Of a column of the table that is there. */
export function unknownType(connection: string, to: string, column: string, type: string): LonghaulError {
  return new LonghaulError(
    'TargetChanged',
    `Connection "${connection}": column "${column}" of ${to} is of type ${type}, which is not written here.`,
    { next: 'Declare the columns of the source, without this one.' },
  );
}
