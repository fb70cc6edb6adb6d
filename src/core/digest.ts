/**
 * Digests of rows as text: `form:sum`. The sum is over 64 bits of each row's hash, so that the order of rows does not matter, the
 * digests of disjoint parts add up to the whole's, and a row that is there twice is not cancelled out, as it would be by XOR. The
 * form names the columns and types as which the rows were hashed: only digests of one form can be compared or added.
 */

/** Rows counted and digested by one statement, so of one point in time. */
export interface Digested {
  readonly rows: number;
  readonly digest: string;
}

/** `sum`: a whole number in decimal, of any size and sign. */
export function digestOf(form: string, sum: string | bigint): string {
  return `${form}:${BigInt(sum)}`;
}

export function formOf(digest: string): string {
  return digest.slice(0, digest.indexOf(':'));
}

/** The digest of the rows of all parts. Throws RangeError for parts of different forms. */
export function addDigests(form: string, parts: readonly string[]): string {
  let sum = 0n;
  for (const part of parts) {
    if (formOf(part) !== form) throw new RangeError('digests of different forms were added');
    sum += BigInt(part.slice(form.length + 1));
  }
  return digestOf(form, sum);
}

export function addDigested(form: string, parts: readonly Digested[]): Digested {
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  const digest = addDigests(
    form,
    parts.map((part) => part.digest),
  );
  return { rows, digest };
}

/** What was copied, by the receipts: without a digest, or with one of another form, only its rows can be compared. */
export interface Copied {
  readonly rows: number;
  readonly digest?: string;
}

/**
 * What comparing source and target with what was copied says.
 * `undecided`: the target has more rows than were copied, as the target of an append may, so its content can't be compared.
 * `differs`: source and target differ, and no digest was stored to tell which of them changed.
 */
export type Verdict = 'equal' | 'source changed' | 'target changed' | 'both changed' | 'differs' | 'undecided';

/** `shared`: the target may hold rows of others among these, being appended to. */
export function verdictOf(source: Digested, copied: Copied, target: Digested, shared: boolean): Verdict {
  if (source.rows === target.rows && source.digest === target.digest) return 'equal';
  if (shared && target.rows > copied.rows) return 'undecided';
  const [sourceKept, targetKept] = [asCopied(source, copied), asCopied(target, copied)];
  if (sourceKept === false && targetKept === false) return 'both changed';
  // Without a stored digest, a count alone can convict one side.
  if (sourceKept === false) return 'source changed';
  if (targetKept === false) return 'target changed';
  return 'differs';
}

/** Undefined: as many rows, of which nothing more is known. */
function asCopied(now: Digested, { rows, digest }: Copied): boolean | undefined {
  if (now.rows !== rows) return false;
  if (digest === undefined || formOf(digest) !== formOf(now.digest)) return undefined;
  return now.digest === digest;
}
