import { DESTINATION_PINS, PINNED_SETTINGS, PINS } from './pins.js';
import { quoteIdent, quoteLiteral } from './sql.js';

/** Which side of a copy a transaction is for; or for statements that a job names: one that reads a list, or one that tells others. */
export type TransactionKind = 'source' | 'destination' | 'list' | 'telling';

/**
 * A source transaction sees one point in time and can't write. The destination's statements must see what others committed
 * meanwhile: the INSERT of a receipt that another attempt has just committed answers with no row, where REPEATABLE READ would fail.
 */
const BEGIN: Readonly<Record<TransactionKind, string>> = {
  source: 'BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY',
  destination: 'BEGIN ISOLATION LEVEL READ COMMITTED',
  list: 'BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY',
  telling: 'BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE',
};

/** What is a job's own statement finds names and rows as its role would by itself; only how it is read and written is stated. */
const { row_security: _rows, search_path: _path, ...PINS_OF_STATEMENTS } = PINS;

const PINS_OF: Readonly<Record<TransactionKind, Readonly<Record<string, string>>>> = {
  source: PINS,
  destination: { ...PINS, ...DESTINATION_PINS },
  list: PINS_OF_STATEMENTS,
  telling: PINS_OF_STATEMENTS,
};

/** A connection's own settings may differ from these. lock_timeout is finite, so that no wait for a lock is silent. */
const DEFAULTS = {
  statement_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  lock_timeout: '60s',
};

const SINCE_17 = { transaction_timeout: '0' };

/**
 * The text that begins a transaction and pins its settings, one round trip. All are SET LOCAL: nothing outlives the
 * transaction, and none of them takes a snapshot, so that one may still be imported after it.
 */
export function beginStatements(
  kind: TransactionKind,
  serverVersion: number,
  settings: Readonly<Record<string, string>>,
): string {
  const chosen = Object.entries(settings).filter(([name]) => !PINNED_SETTINGS.has(name.toLowerCase()));
  const all: [string, string][] = [
    ...Object.entries({ ...DEFAULTS, ...(serverVersion >= 170000 ? SINCE_17 : {}) }),
    ...chosen,
    ...Object.entries(PINS_OF[kind]),
  ];
  return [BEGIN[kind], ...all.map(([name, value]) => setLocal(name, value))].join('; ');
}

/** DateStyle is a list of words, which one quoted word would not be. */
function setLocal(name: string, value: string): string {
  const words = name === 'DateStyle' ? value : quoteLiteral(value);
  return `SET LOCAL ${name.split('.').map(quoteIdent).join('.')} TO ${words}`;
}
