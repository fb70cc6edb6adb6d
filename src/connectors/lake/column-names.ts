import { problem } from '../findings.js';
import type { Finding } from '../types.js';
import type { LakeColumn } from './model.js';

/** What Delta and Parquet forbid in a name without column mapping, which is never turned on here. */
const FORBIDDEN = /[ ,;{}()\n\t=]/;

/** Columns that a new Delta table can't have. */
export function nameFindings(columns: readonly LakeColumn[]): Finding[] {
  const wrong = columns.filter(({ name }) => name === '' || FORBIDDEN.test(name));
  return wrong.map(({ name }) => {
    const message = `Delta can't hold a column named "${name}": a name may have no space and none of ,;{}()=`;
    return problem('', message, 'give it another name in a query of the job, or leave it out (exclude)');
  });
}
