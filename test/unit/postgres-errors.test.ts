import { DatabaseError } from 'pg';
import { describe, expect, test } from 'vitest';
import { mapError, sqlstateOf } from '../../src/connectors/postgres/errors.js';
import { LonghaulError } from '../../src/core/errors.js';

const context = { connection: 'warehouse' };

function server(code: string, message: string, fields: Partial<DatabaseError> = {}): DatabaseError {
  return Object.assign(new DatabaseError(message, message.length, 'error'), { code, ...fields });
}

const mapped = (error: unknown) => mapError(error, context) as LonghaulError;

describe("the server's errors", () => {
  test.each([
    ['08006', 'ConnectionFailed'],
    ['08P01', 'ConnectionFailed'],
    ['28P01', 'ConnectionFailed'],
    ['3D000', 'ConnectionFailed'],
    ['53300', 'ConnectionFailed'],
    ['57P01', 'ConnectionFailed'],
    ['57P03', 'ConnectionFailed'],
    ['25006', 'ConnectionFailed'],
    ['53100', 'ServerFull'],
    ['53200', 'ServerFull'],
    ['40001', 'Conflict'],
    ['40P01', 'Conflict'],
    ['55P03', 'LockTimeout'],
    ['22P02', 'DataRejected'],
    ['23505', 'DataRejected'],
    ['P0001', 'DataRejected'],
    ['42501', 'PermissionDenied'],
    ['42P01', 'StatementInvalid'],
    ['0A000', 'StatementInvalid'],
    ['57014', 'Unknown'],
    ['XX000', 'Unknown'],
    ['ZZ123', 'Unknown'],
  ])('%s is %s', (sqlstate, code) => {
    const error = mapped(server(sqlstate, 'words'));
    expect(error).toMatchObject({ code });
    expect(error.message).toContain('"warehouse"');
    expect(error.message).toContain(sqlstate);
  });

  test.each<[string, string, Partial<DatabaseError>]>([
    ['22P02', 'invalid input syntax for type integer: "secret"', { where: 'COPY t, line 3, column id: "secret"' }],
    ['22P02', 'ungültige Eingabesyntax für Typ integer: »secret«', {}],
    ['22008', 'date/time field value out of range: "for type secret"', {}],
    ['22021', 'invalid byte sequence for encoding "UTF8": 0x5e 0xc7 secret', {}],
    ['23505', 'duplicate key value violates unique constraint "pk"', { detail: 'Key (id)=(secret) already exists.' }],
    ['23514', 'row violates check', { detail: 'Failing row contains (1, secret).' }],
    ['P0001', 'customer secret is blocked', { hint: 'secret' }],
    ['ZZ123', 'secret', {}],
    ['42601', `unterminated quoted string at or near "'secret"`, { detail: 'secret' }],
    ['42601', 'syntax error at or near "42secret"', {}],
    ['57014', 'canceling statement due to statement timeout', { where: 'SQL statement "SELECT secret"' }],
  ])('%s: %s shows no value', (sqlstate, message, fields) => {
    const error = mapped(server(sqlstate, message, fields));
    expect(`${error.message} ${error.next ?? ''} ${error.stack ?? ''}`).not.toContain('secret');
    expect(error.cause).toBeUndefined();
  });

  test('what can be told without a value is told', () => {
    const where = 'COPY staging, line 12, column amount: "x"';
    expect(mapped(server('22P02', 'invalid input syntax for type numeric: "x"', { where })).message).toBe(
      'Connection "warehouse": the server refused a value that is invalid for its type (column amount, type numeric, row 12 of the stream) (SQLSTATE 22P02)',
    );
    const fields = { table: 'orders', constraint: 'orders_pkey' };
    expect(mapped(server('23505', 'duplicate', fields)).message).toContain('(table orders, constraint orders_pkey)');
    expect(mapped(server('42601', 'syntax error at or near "selct"')).message).toContain('at or near "selct"');
  });

  test('a missing privilege says what mends it', () => {
    const denied = server('42501', 'permission denied for table orders');
    const grant = 'GRANT SELECT ON "public"."orders" TO "reader";';
    expect(mapError(denied, { ...context, grant })).toMatchObject({ code: 'PermissionDenied', next: `Run: ${grant}` });
    const policy = server('42501', 'query would be affected by row-level security policy for table "orders"');
    expect(mapped(policy).next).toContain('BYPASSRLS');
  });

  test('writing in a transaction that we began read-only is the fault of the statement', () => {
    const writes = server('25006', 'cannot execute INSERT in a read-only transaction');
    expect(mapError(writes, { ...context, readOnly: true })).toMatchObject({ code: 'StatementInvalid' });
  });
});

describe("the driver's and Node's errors", () => {
  test.each([
    Object.assign(new Error('connect ECONNREFUSED 10.1.2.3:5432'), { code: 'ECONNREFUSED' }),
    Object.assign(new Error('getaddrinfo ENOTFOUND 10.1.2.3'), { code: 'ENOTFOUND' }),
    Object.assign(new Error('write EPIPE 10.1.2.3'), { code: 'EPIPE' }),
    Object.assign(new Error('read ECONNRESET 10.1.2.3'), { code: 'ECONNRESET' }),
    ...['EMFILE', 'ENFILE', 'EADDRNOTAVAIL', 'ENETDOWN', 'EHOSTDOWN', 'ENOBUFS'].map((code) =>
      Object.assign(new Error(`connect ${code} 10.1.2.3:5432`), { code, syscall: 'connect' }),
    ),
    Object.assign(new Error('Cannot call write after 10.1.2.3 was destroyed'), { code: 'ERR_STREAM_DESTROYED' }),
    Object.assign(new Error('self-signed certificate 10.1.2.3'), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' }),
    new Error('Connection terminated unexpectedly'),
    new Error('Client has encountered a connection error and is not queryable'),
    new Error('timeout expired'),
    new Error('The server does not support SSL connections'),
    new Error('SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string'),
  ])('%s', (error) => {
    expect(mapped(error)).toMatchObject({ code: 'ConnectionFailed' });
    expect(mapped(error).message).not.toContain('10.1.2.3');
  });

  test.each([
    ['SELF_SIGNED_CERT_IN_CHAIN', /not from an authority that is trusted here/, /sslrootcert/],
    ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', /not from an authority that is trusted here/, /sslrootcert/],
    ['CERT_HAS_EXPIRED', /out of date/, /clock/],
    ['ERR_TLS_CERT_ALTNAME_INVALID', /for another host name/, /verify-ca/],
    ['ERR_SSL_WRONG_VERSION_NUMBER', /TLS could not be established/, /longhaul\.yaml/],
  ])('%s says what is wrong with the certificate, and what to do', (code, what, next) => {
    const { message, next: advice } = mapped(Object.assign(new Error('about 10.1.2.3'), { code }));
    expect(message).toMatch(what);
    expect(message).not.toContain('10.1.2.3');
    expect(advice).toMatch(next);
  });

  test("a disk that fails is the server's", () => {
    expect(mapped(server('58030', 'could not read file "base/1/2"'))).toMatchObject({ code: 'ServerFull' });
  });

  test('EPIPE is no SQLSTATE', () => {
    expect(sqlstateOf(Object.assign(new Error(), { code: 'EPIPE' }))).toBeUndefined();
    expect(sqlstateOf(server('57P01', ''))).toBe('57P01');
  });

  test('anything else is Unknown', () => {
    expect(mapped(new Error('odd'))).toMatchObject({ code: 'Unknown' });
    expect(mapped('odd')).toMatchObject({ code: 'Unknown' });
  });
});

test('an aborted signal speaks before any error; our own errors stay as they are', () => {
  const reason = new Error('stop');
  const own = new LonghaulError('Stalled', 'x');
  expect(mapError(server('57014', 'cancelled'), { ...context, signal: AbortSignal.abort(reason) })).toBe(reason);
  expect(mapped(own)).toBe(own);
});
