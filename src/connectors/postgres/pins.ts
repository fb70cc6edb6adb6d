/** Settings that nothing may differ from: they decide what is read and how values are written. Pure: configuration reads it too. */
export const PINS = {
  row_security: 'off',
  search_path: '',
  DateStyle: 'ISO, YMD',
  IntervalStyle: 'postgres',
  TimeZone: 'UTC',
  extra_float_digits: '3',
  client_encoding: 'UTF8',
  bytea_output: 'hex',
  lc_monetary: 'C',
  array_nulls: 'on',
  xmloption: 'content',
  standard_conforming_strings: 'on',
  // Types are printed with or without quotes by it, and compared as printed.
  quote_all_identifiers: 'off',
};

/** A receipt that was acknowledged survives a crash of the server. */
export const DESTINATION_PINS = { synchronous_commit: 'on' };

/** Stated by BEGIN. */
const OF_BEGIN = [
  'default_transaction_isolation',
  'default_transaction_read_only',
  'transaction_isolation',
  'transaction_read_only',
];

/** In lower case: settings that `settings` of a connection can't change, and that longhaul.yaml therefore refuses. */
export const PINNED_SETTINGS: ReadonlySet<string> = new Set(
  [...Object.keys({ ...PINS, ...DESTINATION_PINS }), ...OF_BEGIN].map((name) => name.toLowerCase()),
);
