import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { LonghaulError } from '../../src/core/errors.js';
import { WarehouseClient } from '../../src/connectors/databricks/client.js';
import type { DatabricksConnectionConfig } from '../../src/connectors/databricks/config.js';
import { TIMING } from '../../src/connectors/databricks/http.js';
import { FakeDatabricks, TOKEN } from '../support/fake-databricks.js';

const QUICK = { ...TIMING, first: 2, longest: 10, putOffs: 5 };
let fake: FakeDatabricks;
beforeAll(async () => {
  fake = await FakeDatabricks.start();
  await fake.warehouse.raw('CREATE TABLE dev.bronze.told (id INTEGER)');
});
beforeEach(() => {
  fake.faults.length = fake.sql.length = fake.requests.length = fake.cancelled.length = 0;
  fake.patience = 20;
  fake.chunks = Infinity;
  fake.gone = /^(?!)/;
});
afterAll(() => fake.stop());

function client(config: DatabricksConnectionConfig = fake.config(), signal = new AbortController().signal) {
  return new WarehouseClient(config, signal, QUICK);
}

const SELECT = { sql: 'SELECT 1 AS a', repeatable: true };
const TELL = { sql: 'INSERT INTO dev.bronze.told VALUES (1)', repeatable: false };

async function failure(work: Promise<unknown>): Promise<LonghaulError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof LonghaulError) return error;
  throw new Error(`not a LonghaulError: ${String(error)}`);
}

async function told(): Promise<number> {
  await fake.idle();
  return Number((await fake.warehouse.raw('SELECT count(*) FROM dev.bronze.told')).rows[0]![0]);
}

describe('a statement', () => {
  it('is waited for, its chunks fetched one by one', async () => {
    const answer = await client().run({ sql: 'SELECT i, NULL AS n FROM range(5) t(i) ORDER BY i', repeatable: true });
    expect(answer.columns).toEqual(['i', 'n']);
    const batches = [];
    for await (const batch of answer.batches()) batches.push(batch.map(([i]) => i));
    expect(batches).toEqual([['0', '1'], ['2', '3'], ['4']]);
  });

  it('is looked at until it ends', async () => {
    fake.patience = 0;
    const hold = fake.hold(/SELECT 1/, 'queued');
    const rows = client().rows(SELECT);
    await hold.reached;
    setTimeout(() => hold.release(), 150);
    expect(await rows).toEqual([['1']]);
    expect(fake.requests.filter((request) => request.startsWith('GET')).length).toBeGreaterThan(0);
  });

  it('takes named parameters, NULL too', async () => {
    const sql = "SELECT :a || '!' AS a, :b IS NULL AS b";
    expect(await client().rows({ sql, parameters: { a: "it's", b: null }, repeatable: true })).toEqual([
      ["it's!", 'true'],
    ]);
  });

  it('is cancelled at the warehouse when the attempt is aborted', async () => {
    const attempt = new AbortController();
    const hold = fake.hold(/SELECT 1/, 'running');
    const rows = client(fake.config(), attempt.signal).rows({ ...SELECT, repeatable: false });
    await hold.reached;
    await new Promise((resolve) => setTimeout(resolve, 50));
    attempt.abort(new Error('paused'));
    await expect(rows).rejects.toThrow('paused');
    expect(fake.cancelled).toEqual(['SELECT 1 AS a']);
    hold.release();
  });
});

describe('what goes wrong on the way', () => {
  it('is waited out as long as the service asks: 429', async () => {
    fake.faults.push({ at: /INSERT/, what: { status: 429, retryAfter: '0.2' } });
    const before = await told();
    const begun = Date.now();
    await client().run(TELL);
    expect(Date.now() - begun).toBeGreaterThanOrEqual(195);
    expect(await told()).toBe(before + 1);
  });

  it('is not waited out beyond the attempt', async () => {
    fake.faults.push({ at: /INSERT/, what: { status: 429, retryAfter: '60' } });
    await expect(client(fake.config(), AbortSignal.timeout(50)).run(TELL)).rejects.toThrow(/timeout/i);
  });

  it('is given up at last', async () => {
    for (let i = 0; i <= QUICK.putOffs; i++) fake.faults.push({ at: /SELECT/, what: { status: 429 } });
    expect((await failure(client().rows(SELECT))).code).toBe('ConnectionFailed');
  });

  it('sends a statement again when its answer was lost, if that does no harm', async () => {
    fake.faults.push({ at: /SELECT/, what: 'lost' }, { at: /SELECT/, what: 'reset' });
    expect(await client().rows(SELECT)).toEqual([['1']]);
    expect(fake.sql).toHaveLength(2);
  });

  it.each(['lost', { status: 503 }] as const)('sends no other statement again: %j', async (what) => {
    fake.faults.push({ at: /INSERT/, what });
    expect((await failure(client().run(TELL))).code).toBe('ConnectionFailed');
    await fake.idle();
    expect(fake.sql.length).toBe(what === 'lost' ? 1 : 0);
  });

  it('asks for a status again', async () => {
    fake.patience = 0;
    fake.faults.push({ at: /^GET .*statements/, what: 'lost' }, { at: /^GET .*statements/, what: { status: 503 } });
    expect(await client().rows(SELECT)).toEqual([['1']]);
    expect(fake.sql).toHaveLength(1);
  });

  it('takes a result that is gone for no empty one', async () => {
    fake.gone = /SELECT 1/;
    expect(await failure(client().rows(SELECT))).toMatchObject({
      code: 'ConnectionFailed',
      message: 'Connection "lake" does not have the result of a statement any more.',
    });
    expect((await client().run(SELECT)).id).not.toBe('');
  });

  it('takes a result of which a part is missing for no whole one', async () => {
    fake.chunks = 1;
    const error = await failure(client().rows({ sql: 'SELECT i FROM range(5) t(i)', repeatable: true }));
    expect(error.message).toBe('Connection "lake" gave 2 rows of a result of 5.');
  });

  it('says that nobody is there, at once', async () => {
    const gone = await FakeDatabricks.start();
    const config = gone.config();
    await gone.stop();
    const error = await failure(client(config).rows(SELECT));
    expect(error).toMatchObject({
      code: 'ConnectionFailed',
      message: expect.stringContaining('nothing accepts') as string,
    });
  });
});

describe('signing in', () => {
  it('as a service principal, again when the token has ended', async () => {
    const its = client(fake.principal());
    expect(await its.rows(SELECT)).toEqual([['1']]);
    fake.expireTokens();
    expect(await its.rows(SELECT)).toEqual([['1']]);
    expect(fake.requests.filter((request) => request.includes('/oidc/'))).toHaveLength(2);
  });

  it('is refused without a word of the secret', async () => {
    const config = { ...fake.principal(), client: { id: 'principal', secret: 'another-secret' } };
    const refused = await failure(client(config).rows(SELECT));
    expect(refused.code).toBe('ConnectionFailed');
    const bad = await failure(client({ ...fake.config(), token: 'dapi-wrong-one' }).rows(SELECT));
    expect(bad).toMatchObject({
      code: 'ConnectionFailed',
      message: expect.stringContaining('refused the sign-in') as string,
    });
    for (const { message } of [refused, bad]) expect(message).not.toMatch(/another-secret|dapi-wrong-one/);
  });
});

describe('a refusal', () => {
  it.each([
    ['SELECT * FROM dev.bronze.nothing', 'StatementInvalid', /TABLE_OR_VIEW_NOT_FOUND/],
    ['SELEC 1', 'StatementInvalid', /PARSE_SYNTAX_ERROR/],
    ["SELECT CAST('sesame' AS INT)", 'DataRejected', /refused a value/],
  ])('%s', async (sql, code, message) => {
    const error = await failure(client().rows({ sql, repeatable: true }));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(error.message).not.toMatch(/sesame|== SQL/);
  });

  it.each([
    [403, 'PermissionDenied'],
    [400, 'StatementInvalid'],
    [500, 'ConnectionFailed'],
  ])('with status %i', async (status, code) => {
    fake.faults.push({ at: /SELECT/, what: { status, message: `no, ${TOKEN}` } });
    const error = await failure(client().rows(SELECT));
    expect(error.code).toBe(code);
    expect(error.message).not.toContain(TOKEN);
  });
});
