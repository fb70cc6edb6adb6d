import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPostgresConnector } from '../../src/connectors/postgres/index.js';
import type { TableSpec } from '../../src/core/model.js';
import { newMeter, ROWS, Scene } from '../contract/fixture.js';
import { postgresFixture, type PostgresFixture } from '../contract/postgres-fixture.js';
import { connectionTo } from '../support/connection.js';
import { runSql } from '../support/postgres.js';

let fixture: PostgresFixture;

beforeAll(async () => {
  fixture = await postgresFixture('target_test');
  await fixture.createSource('public.items', ROWS);
  // The superuser's name is the ledger's schema, and would come before public.
  await sql('ALTER DATABASE target_test_destination SET search_path = public');
  await sql('DROP ROLE IF EXISTS target_owner, target_reader, target_copier');
  await sql('CREATE ROLE target_owner; CREATE ROLE target_reader; CREATE ROLE target_copier LOGIN PASSWORD $$copier$$');
  await sql('GRANT CREATE ON SCHEMA public TO target_owner');
});

afterAll(async () => {
  const server = new URL(fixture.destinationUrl);
  server.pathname = '/postgres';
  await fixture[Symbol.asyncDispose]();
  await runSql(server.href, 'DROP ROLE target_owner, target_reader, target_copier');
});

const sql = <Row extends object>(text: string, values?: unknown[]) =>
  values ? runSql<Row>(fixture.destinationUrl, text, values) : runSql<Row>(fixture.destinationUrl, text);

interface SceneOptions extends Partial<Pick<TableSpec, 'mode' | 'publish' | 'exclude'>> {
  readonly on?: Partial<PostgresFixture>;
  readonly from?: string;
}

function scene(to: string, { mode = 'replace', on = {}, from = 'public.items', ...more }: SceneOptions = {}): Scene {
  const spec: TableSpec = { table: from, from, to, mode, partition: { by: 'auto' }, ...more };
  return new Scene({ ...fixture, ...on }, `run-${randomUUID()}`, spec);
}

async function copy(s: Scene): Promise<void> {
  const session = await s.destination();
  const record = await s.begunInto(session);
  await s.copyAll(session, record);
  await s.buildAll(session, record);
  await session.publish(record, newMeter());
}

/** Lines of what a check says. */
async function findings(s: Scene): Promise<string[]> {
  const { table } = await (await s.source()).describe(s.spec);
  const { findings } = await (await s.destination()).check(s.spec, table!);
  return findings.map(
    ({ severity, message, fix }) => `${severity}: ${message}${fix === undefined ? '' : ` -> ${fix}`}`,
  );
}

const PICTURE = `
  SELECT json_build_object(
    'table', (SELECT json_build_object('owner', pg_get_userbyid(relowner), 'acl', (SELECT array_agg(x::text ORDER BY x::text) FROM unnest(relacl) x),
       'options', reloptions, 'replica', relreplident, 'comment', obj_description(oid, 'pg_class'),
       'toast', (SELECT t.reloptions FROM pg_class t WHERE t.oid = c.reltoastrelid)) FROM pg_class c WHERE oid = $1::regclass),
    'columns', (SELECT json_agg(json_build_array(attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated,
       attstorage, attcompression, attstattarget, attoptions, attacl::text, pg_get_expr(adbin, adrelid),
       col_description(attrelid, attnum)) ORDER BY attnum)
       FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
       WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped),
    'constraints', (SELECT json_agg(json_build_array(conname, contype, pg_get_constraintdef(oid), condeferrable, condeferred, connoinherit,
       obj_description(oid, 'pg_constraint')) ORDER BY conname)
       FROM pg_constraint WHERE conrelid = $1::regclass),
    'indexes', (SELECT json_agg(json_build_array(pg_get_indexdef(indexrelid), indisclustered, indisreplident, indisvalid, indimmediate,
       obj_description(indexrelid, 'pg_class')) ORDER BY indexrelid::regclass::text)
       FROM pg_index WHERE indrelid = $1::regclass),
    'sequences', (SELECT json_agg(json_build_array(s.oid::regclass, a.attname, d.deptype, q.seqstart, q.seqincrement, q.seqcache,
       pg_get_userbyid(s.relowner), s.relacl::text, obj_description(s.oid, 'pg_class')) ORDER BY a.attnum)
       FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_sequence q ON q.seqrelid = s.oid
       JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
       WHERE d.refobjid = $1::regclass AND d.deptype IN ('a', 'i'))
  ) AS picture`;

async function picture(table: string): Promise<unknown> {
  const [row] = await sql<{ picture: unknown }>(PICTURE, [table]);
  return row!.picture;
}

describe('a target that is replaced', () => {
  it('keeps everything that can be kept', async () => {
    await sql(`
      CREATE EXTENSION IF NOT EXISTS btree_gist;
      CREATE TABLE public."Kept 1" (
        dropped int,
        id int GENERATED ALWAYS AS IDENTITY (START 100 INCREMENT 5 CACHE 3) CONSTRAINT "the key" PRIMARY KEY DEFERRABLE INITIALLY DEFERRED,
        note text COMPRESSION pglz DEFAULT 'none' CONSTRAINT "no stars" CHECK (note <> '*'),
        number bigserial NOT NULL,
        twice int GENERATED ALWAYS AS (id * 2) STORED,
        during int4range,
        CONSTRAINT "one number" UNIQUE NULLS NOT DISTINCT (number) INCLUDE (note),
        CONSTRAINT apart EXCLUDE USING gist (during WITH &&)
      ) WITH (fillfactor = 71, toast.autovacuum_enabled = false);
      ALTER TABLE "Kept 1" DROP COLUMN dropped;
      ALTER TABLE "Kept 1" ADD CONSTRAINT "short" CHECK (length(note) < 100) NO INHERIT;
      CREATE INDEX "notes, lower" ON "Kept 1" (lower(note) text_pattern_ops DESC NULLS LAST) WITH (fillfactor = 55) WHERE id > 5;
      CREATE UNIQUE INDEX kept_replica ON "Kept 1" (id, number);
      CREATE INDEX ON "Kept 1" USING hash (note);
      ALTER TABLE "Kept 1" REPLICA IDENTITY USING INDEX kept_replica;
      ALTER TABLE "Kept 1" CLUSTER ON "the key";
      ALTER TABLE "Kept 1" ALTER note SET STATISTICS 555, ALTER note SET STORAGE EXTERNAL, ALTER number SET (n_distinct = -0.5);
      COMMENT ON TABLE "Kept 1" IS 'it''s kept';
      COMMENT ON COLUMN "Kept 1".note IS 'a \\ note';
      COMMENT ON CONSTRAINT "the key" ON "Kept 1" IS 'the key''s';
      COMMENT ON CONSTRAINT "no stars" ON "Kept 1" IS 'none';
      COMMENT ON INDEX "notes, lower" IS 'of notes';
      COMMENT ON SEQUENCE "Kept 1_id_seq" IS 'of ids';
      ALTER TABLE "Kept 1" OWNER TO target_owner;
      GRANT SELECT ON "Kept 1" TO target_reader WITH GRANT OPTION;
      GRANT UPDATE (note) ON "Kept 1" TO target_reader;
      REVOKE DELETE ON "Kept 1" FROM target_owner;
      GRANT SELECT ON "Kept 1" TO PUBLIC;
      GRANT USAGE ON SEQUENCE "Kept 1_id_seq" TO target_reader;
      GRANT USAGE ON SEQUENCE "Kept 1_number_seq" TO target_reader;
      ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT TRUNCATE ON TABLES TO target_copier;
      INSERT INTO "Kept 1" (note) VALUES ('old')`);
    const before = await picture('public."Kept 1"');
    await using s = scene('public."Kept 1"');
    expect((await findings(s)).filter((line) => line.startsWith('problem'))).toEqual([]);
    await copy(s);
    await sql('ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE TRUNCATE ON TABLES FROM target_copier');
    expect(await picture('public."Kept 1"')).toEqual(before);
    const rows = await sql(
      'SELECT count(*)::int AS n, min(number)::int AS first, max(number)::int AS last FROM "Kept 1"',
    );
    expect(rows).toEqual([{ n: ROWS, first: 2, last: ROWS + 1 }]);
    const added = await sql<{ id: number; number: string }>(
      `INSERT INTO "Kept 1" (note) VALUES ('new') RETURNING id, number`,
    );
    expect(added[0]!.id).toBeGreaterThan(ROWS - 1);
    expect(Number(added[0]!.number)).toBeGreaterThan(ROWS);
    expect(await sql(`SELECT relname FROM pg_class WHERE relname LIKE '\\_longhaul%'`)).toEqual([]);
  });

  it('keeps the value of an identity sequence that is past the data', async () => {
    await sql('CREATE TABLE far (id bigint GENERATED BY DEFAULT AS IDENTITY, note text)');
    await sql(`SELECT setval('far_id_seq', 50000)`);
    await using s = scene('public.far');
    await copy(s);
    expect(await sql(`INSERT INTO far (note) VALUES ('x') RETURNING id`)).toEqual([{ id: '50001' }]);
  });

  it('is refused, before data moves, when something would be lost with it', async () => {
    await sql(`
      CREATE TABLE held (id int PRIMARY KEY, note text, other int);
      ALTER TABLE held ADD FOREIGN KEY (other) REFERENCES held;
      CREATE VIEW held_view AS SELECT note FROM held;
      CREATE MATERIALIZED VIEW held_mat AS SELECT note FROM held;
      CREATE TABLE held_child () INHERITS (held);
      CREATE TABLE held_from (id int REFERENCES held);
      CREATE TABLE held_row (h held, hs held[]);
      CREATE FUNCTION held_sql() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM held; END;
      CREATE FUNCTION held_arg(held) RETURNS int LANGUAGE sql RETURN 1;
      CREATE FUNCTION held_fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
      CREATE TRIGGER held_trigger BEFORE INSERT ON held FOR EACH ROW EXECUTE FUNCTION held_fire();
      CREATE RULE held_rule AS ON DELETE TO held DO INSTEAD NOTHING;
      CREATE POLICY held_policy ON held USING (true);
      ALTER TABLE held ENABLE ROW LEVEL SECURITY;
      CREATE PUBLICATION held_publication FOR TABLE held;
      CREATE STATISTICS held_statistics ON id, note FROM held;
      ALTER TABLE held ADD CONSTRAINT held_unchecked CHECK (id > 0) NOT VALID;
      CREATE INDEX held_expression ON held ((id + 1)); ALTER INDEX held_expression ALTER COLUMN 1 SET STATISTICS 7;
      GRANT SELECT ON held TO target_reader WITH GRANT OPTION;
      SET ROLE target_reader; GRANT SELECT ON held TO target_copier; RESET ROLE`);
    await using s = scene('public.held');
    const [line] = (await findings(s)).filter((found) => found.includes('lost with'));
    for (const part of [
      'constraint held_other_fkey on table public.held',
      'constraint held_from_id_fkey on table public.held_from',
      'view public.held_view',
      'materialized view public.held_mat',
      'table public.held_child',
      'table public.held_row (column h)',
      'table public.held_row (column hs)',
      'function public.held_sql()',
      'function public.held_arg(public.held)',
      'trigger held_trigger on table public.held',
      'rule held_rule on table public.held',
      'policy held_policy on table public.held',
      'row security',
      'publication of table public.held in publication held_publication',
      'statistics object public.held_statistics',
      'constraint held_unchecked is not valid',
      'index public.held_expression has a statistics target',
      'grants on held made by target_reader',
    ]) {
      expect(line).toContain(part);
    }
    await sql(`CREATE TABLE whole (id int, note text) PARTITION BY RANGE (id);
      CREATE TABLE part PARTITION OF whole FOR VALUES FROM (0) TO (10000);
      CREATE UNLOGGED TABLE quick (id int, note text)`);
    await using part = scene('public.part');
    expect((await findings(part)).join()).toContain('it is a partition of public.whole');
    await using quick = scene('public.quick');
    expect((await findings(quick)).join()).toContain('it is unlogged');
    await using whole = scene('public.whole');
    expect((await findings(whole)).join()).toContain('public.whole is a partitioned table, which replace can');
    await using appended = scene('public.whole', { mode: 'append' });
    await copy(appended);
    expect(await appended.visible()).toHaveLength(ROWS);
  });
});

describe('a target that is appended to', () => {
  it('takes explicit values of GENERATED ALWAYS identities and goes on after them', async () => {
    await sql(
      `CREATE TABLE counted (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text, at timestamptz DEFAULT now())`,
    );
    await using s = scene('public.counted', { mode: 'append' });
    await copy(s);
    expect(await sql(`INSERT INTO counted (note) VALUES ('x') RETURNING id`)).toEqual([{ id: ROWS }]);
    expect(await sql('SELECT count(*)::int AS n FROM counted WHERE at IS NULL')).toEqual([{ n: 0 }]);
  });

  it('is left as it was when a row is in the way', async () => {
    await sql(`CREATE TABLE taken (id int PRIMARY KEY, note text); INSERT INTO taken VALUES (5, 'first')`);
    await using s = scene('public.taken', { mode: 'append' });
    await expect(copy(s)).rejects.toMatchObject({
      code: 'DataRejected',
      message: expect.stringContaining('The key (id) of public.taken is not unique') as string,
    });
    expect(await sql('SELECT * FROM taken')).toEqual([{ id: 5, note: 'first' }]);
  });
});

describe('a target that is made', () => {
  const LEFT = { exclude: ['left_out'] };

  it.each(['table', 'partition'] as const)('with publish: %s has the comments of the source', async (publish) => {
    const to = `public.made_by_${publish}`;
    await runSql(
      fixture.sourceUrl,
      `CREATE TABLE IF NOT EXISTS said (id int PRIMARY KEY, note text, left_out int);
       COMMENT ON TABLE said IS 'it''s \\ said'; COMMENT ON COLUMN said.note IS E'two\nlines'; COMMENT ON COLUMN said.left_out IS 'none'`,
    );
    await using s = scene(to, {
      mode: publish === 'table' ? 'replace' : 'append',
      from: 'public.said',
      publish,
      ...LEFT,
    });
    await copy(s);
    expect(await comments(to)).toEqual({ table: `it's \\ said`, columns: { note: 'two\nlines' } });
    await sql(`COMMENT ON TABLE ${to} IS 'its own'; COMMENT ON COLUMN ${to}.note IS NULL`);
    await using again = scene(to, { from: 'public.said', ...LEFT });
    await copy(again);
    expect(await comments(to)).toEqual({ table: 'its own', columns: null });
  });

  async function comments(table: string): Promise<unknown> {
    const columns = `SELECT json_object_agg(attname, col_description(attrelid, attnum)) FROM pg_attribute
      WHERE attrelid = $1::regclass AND col_description(attrelid, attnum) IS NOT NULL`;
    const [row] = await sql(`SELECT obj_description($1::regclass, 'pg_class') AS table, (${columns}) AS columns`, [
      table,
    ]);
    return row;
  }
});

describe('an ordinary role', () => {
  const copier = (ledgerSchema: string) => {
    const url = new URL(fixture.destinationUrl);
    [url.username, url.password] = ['target_copier', 'copier'];
    return createPostgresConnector(connectionTo('destination', url.href, { ledgerSchema }));
  };

  it('is told which GRANT it lacks, and needs no more than those', async () => {
    await sql(`CREATE SCHEMA closed; CREATE TABLE closed.owned (id int PRIMARY KEY, note text);
      CREATE TABLE closed.filled (id int, note text); ALTER TABLE closed.owned OWNER TO target_owner; REVOKE CREATE ON SCHEMA public FROM PUBLIC`);
    const destination = copier('copier_ledger');
    await using owned = scene('closed.owned', { on: { destination } });
    await using filled = scene('closed.filled', { mode: 'append', on: { destination } });
    await using missing = scene('nowhere.at_all', { on: { destination } });
    const server = await (await owned.destination()).checkServer({ sessions: 4 });
    const found = [
      ...server.map(({ message, fix }) => `${message} -> ${fix ?? ''}`),
      ...(await findings(owned)),
      ...(await findings(filled)),
    ];
    const grants = found.flatMap((line) => /-> .*?((?:GRANT|CREATE SCHEMA) [^;]*;)/.exec(line)?.[1] ?? []);
    expect(grants).toHaveLength(6);
    expect((await findings(missing)).join()).toMatch(
      /no schema nowhere.*CREATE SCHEMA "nowhere" AUTHORIZATION "target_copier"/,
    );
    for (const grant of new Set(grants)) await sql(grant);
    await sql('GRANT CREATE ON SCHEMA closed TO target_owner');
    expect((await findings(owned)).filter((line) => line.startsWith('problem'))).toEqual([]);
    await copy(owned);
    await copy(filled);
    expect(await owned.visible()).toHaveLength(ROWS);
    expect(await filled.visible()).toHaveLength(ROWS);
    expect(await sql(`SELECT tableowner FROM pg_tables WHERE tablename = 'owned'`)).toEqual([
      { tableowner: 'target_owner' },
    ]);
  });

  it('waits for readers of other roles, whose transactions it may not see', async () => {
    await sql(
      'CREATE SCHEMA patient AUTHORIZATION target_copier; CREATE SCHEMA patient_ledger AUTHORIZATION target_copier',
    );
    await using s = scene('patient.waited', { on: { destination: copier('patient_ledger') } });
    const session = await s.destination();
    const record = await s.begun(session);
    await s.copyAll(session, record);
    await s.buildAll(session, record);
    const [reader, idle] = [new Client(fixture.destinationUrl), new Client(fixture.destinationUrl)];
    await Promise.all([reader.connect(), idle.connect()]);
    await idle.query('BEGIN'); // Has no snapshot, and is never waited for.
    await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    await reader.query('SELECT 1');
    const meter = newMeter();
    const published = session.publish(record, meter);
    await expect.poll(() => meter.phase).toMatch(/^waiting for session \d+/);
    await reader.end();
    await published;
    await idle.end();
    expect(await s.visible()).toHaveLength(ROWS);
  });
});
