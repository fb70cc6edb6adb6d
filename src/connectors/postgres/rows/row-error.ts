import { LonghaulError } from '../../../core/errors.js';
import type { MalformedRow, Place } from '../../types.js';
import { placeText } from '../errors.js';
import type { Refusal } from './refusal.js';

/** One of our own making, before the server saw the row. `position`: from 1 on, told where no place is known. */
export function rowRefused(
  connection: string,
  { why, column }: Refusal,
  { place, position }: { readonly place: Place | undefined; readonly position: number },
): LonghaulError {
  const where = place ? placeText(place) : `row ${position} of the stream`;
  const at = column === undefined ? where : `${where}, column ${column}`;
  return refused(`Connection "${connection}": a row can't be written (${at}): ${why}`);
}

export function rowMalformed(connection: string, { place, error }: MalformedRow): LonghaulError {
  return refused(`Connection "${connection}": a row can't be written (${placeText(place)}): ${error}`);
}

function refused(message: string): LonghaulError {
  return new LonghaulError('DataRejected', message, {
    next: 'Correct the data or the columns, then retry the partition. `rejects: {max: 1000}` would set such rows aside.',
  });
}
