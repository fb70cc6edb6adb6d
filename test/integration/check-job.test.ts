import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPostgresConnector } from '../../src/connectors/postgres/index.js';
import type { LonghaulError } from '../../src/core/errors.js';
import { as, checkFixture, type CheckFixture } from '../support/check-fixture.js';
import { attemptOf, check } from '../support/checking.js';
import { connectionTo } from '../support/connection.js';
import { startPooler, type PoolerHabits } from '../support/pooler.js';
import { runSql } from '../support/postgres.js';

/** Whole jobs against real servers: what is said, word for word. */

let fixture: CheckFixture;
let urls: CheckFixture['urls'];
beforeAll(async () => {
  fixture = await checkFixture();
  ({ urls } = fixture);
});
afterAll(() => fixture.stop());

const atWarehouse = (text: string) => runSql(urls.warehouse, text);

describe('a dozen mistakes', () => {
  it('are said at once: of the file, of both servers, of every table', async () => {
    const { problems, warnings } = await check(fixture.careful, {
      paralelism: 8,
      onSnapshotLost: 'fail',
      retry: { stallTimeout: '10' },
      tables: [
        'sales.order',
        { from: 'sales.orders', to: 'dw.narrow', exclude: ['nte'] },
        { from: 'sales.plain', to: 'dw.viewed', columns: ['id'] },
        { from: 'sales.lines', to: 'locked.lines', partition: { by: 'lin' } },
        'sales.secrets',
        'hidden.things',
        { from: 'sales.guarded', to: 'nowhere.guarded' },
        { from: 'sales.more_lines', to: 'dw.foreign_owned', where: 'qty > ' },
        { from: 'sales.again', to: 'dw.narrow' },
        'archive.*',
      ],
    });
    expect(problems).toMatchInlineSnapshot(`
      "paralelism: unknown key — did you mean "parallelism"?
      onSnapshotLost: needs consistency: snapshot, since per-partition reads hold none — add consistency: snapshot, or take this out
      retry.stallTimeout: "10" is not a duration — write a number with its unit, e.g. 10m
      destination: role check_writer of connection "warehouse" can't keep the ledger: it may not create the schema longhaul — CREATE SCHEMA "longhaul" AUTHORIZATION "check_writer"; or GRANT CREATE ON DATABASE "check_warehouse" TO "check_writer";
      tables[0].from: there is no table sales.order in connection "shop" — did you mean sales.orders?
      tables[1].exclude[0]: there is no column "nte" — did you mean "note"?
      tables[1].to: role check_writer lacks CREATE on schema dw, where the data is staged (also tables[2], tables[7], tables[8]) — GRANT CREATE ON SCHEMA "dw" TO "check_writer";
      tables[1]: column "id": bigint of the source may not fit unchanged into integer of the target — change the target, exclude the column, or convert it in a query of your own
      tables[1]: column "amount": numeric(12,2) of the source may not fit unchanged into numeric(6,2) of the target — change the target, exclude the column, or convert it in a query of your own
      tables[1]: column "note": text of the source may not fit unchanged into character varying(10) of the target — change the target, exclude the column, or convert it in a query of your own
      tables[1].to: role check_writer must own "dw"."narrow" to replace it; its owner postgres is a superuser (also tables[8]) — ALTER TABLE "dw"."narrow" OWNER TO "check_writer";
      tables[2].to: role check_writer must own "dw"."viewed" to replace it; its owner postgres is a superuser — ALTER TABLE "dw"."viewed" OWNER TO "check_writer";
      tables[2].to: dw.viewed can't be replaced, since this would be lost with the old table: view dw.view — drop what is listed, use mode: append, or name another target
      tables[3].partition.by: there is no column "lin" — did you mean "line"?
      tables[3].to: role check_writer lacks CREATE on schema locked, where the data is staged — GRANT CREATE ON SCHEMA "locked" TO "check_writer";
      tables[4].from: role check_reader may not read sales.secrets — run GRANT SELECT ON "sales"."secrets" TO "check_reader";
      tables[4].to: role check_writer lacks USAGE, CREATE on schema sales, where the data is staged — GRANT USAGE, CREATE ON SCHEMA "sales" TO "check_writer";
      tables[5].from: role check_reader may not use schema hidden — run GRANT USAGE ON SCHEMA "hidden" TO "check_reader";
      tables[5].from: role check_reader may not read hidden.things — run GRANT SELECT ON "hidden"."things" TO "check_reader";
      tables[5].to: the destination has no schema hidden — CREATE SCHEMA "hidden" AUTHORIZATION "check_writer";
      tables[6].from: row security of sales.guarded may hide rows from role check_reader — use the owner of the table, or a role with BYPASSRLS
      tables[6].to: the destination has no schema nowhere — CREATE SCHEMA "nowhere" AUTHORIZATION "check_writer";
      tables[7].where: Connection "shop": the server refused a statement: syntax error at end of input (SQLSTATE 42601) — write one condition in the SQL of the source
      tables[7].to: role check_writer must own "dw"."foreign_owned" to replace it, or be a member of its owner check_owner — GRANT "check_owner" TO "check_writer" WITH INHERIT TRUE, SET TRUE;
      tables[8]: sales.again goes to dw.narrow, which is the target of tables[1] too — give each table a target of its own, e.g. to: "dw.{schema}_{table}"
      tables[9]: archive.* matches no table that this connection may see — correct the pattern, or grant USAGE on the schema"
    `);
    expect(warnings).toMatchInlineSnapshot(`
      "tables[8]: column "id" may be NULL in the source and is NOT NULL in the target: a NULL would fail its partition
      tables[8]: column "amount" of the target is not copied: it gets NULL
      tables[8]: column "note" of the target is not copied: it gets NULL"
    `);
  });

  it('about connections: unknown, and one that is away, with the other still checked', async () => {
    const job = { tables: ['sales.orderz'] };
    const unknown = await check({ shop: urls.shop, warehous: urls.warehouse }, job);
    expect(unknown.problems).toMatchInlineSnapshot(`
      "destination: there is no connection "warehouse" (did you mean "warehous"?) — the worker's longhaul.yaml has: shop, warehous
      tables[0].from: there is no table sales.orderz in connection "shop" — did you mean sales.orders?"
    `);
    const away = new URL(urls.warehouse);
    away.port = '1';
    const far = await check({ shop: urls.shop, warehouse: away.href }, job);
    expect(far.problems).toMatchInlineSnapshot(`
      "destination: connection "warehouse": nothing accepts connections at its address (ECONNREFUSED) — look at the server
      tables[0].from: there is no table sales.orderz in connection "shop" — did you mean sales.orders?"
    `);
    const both = await check({ shop: as(urls.shop, 'check_reader', 'wrong'), warehouse: away.href }, job);
    expect(both.problems).toMatchInlineSnapshot(`
      "source: connection "shop": the server refused the sign-in: password authentication failed for user "check_reader" (SQLSTATE 28P01) — correct user, password or database of this connection in longhaul.yaml, and restart the worker.
      destination: connection "warehouse": nothing accepts connections at its address (ECONNREFUSED) — look at the server"
    `);
  });

  it('let a job that is being started wait for a server that is away', async () => {
    const away = new URL(urls.warehouse);
    away.port = '1';
    const starting = check(
      { shop: urls.shop, warehouse: away.href },
      { tables: ['sales.orders'] },
      { asking: { tell: 'for good' } },
    );
    await expect(starting).rejects.toMatchObject({ code: 'ConnectionFailed' } satisfies Partial<LonghaulError>);
  });
});

describe('what is missing', () => {
  it('is mended by the statements that are named, on both sides', async () => {
    const job = {
      tables: [
        'sales.secrets',
        'hidden.things',
        { from: 'sales.orders', to: 'locked.orders' },
        { from: 'sales.lines', to: 'dw.foreign_owned' },
      ],
    };
    const append = { tables: [{ from: 'sales.lines', to: 'dw.append_only', mode: 'append' }] };
    const said = async () =>
      `${(await check(fixture.careful, job)).problems}\n${(await check(fixture.careful, append)).problems}`;
    const first = await said();
    expect(first).toMatchInlineSnapshot(`
      "destination: role check_writer of connection "warehouse" can't keep the ledger: it may not create the schema longhaul — CREATE SCHEMA "longhaul" AUTHORIZATION "check_writer"; or GRANT CREATE ON DATABASE "check_warehouse" TO "check_writer";
      tables[0].from: role check_reader may not read sales.secrets — run GRANT SELECT ON "sales"."secrets" TO "check_reader";
      tables[0].to: role check_writer lacks USAGE, CREATE on schema sales, where the data is staged — GRANT USAGE, CREATE ON SCHEMA "sales" TO "check_writer";
      tables[1].from: role check_reader may not use schema hidden — run GRANT USAGE ON SCHEMA "hidden" TO "check_reader";
      tables[1].from: role check_reader may not read hidden.things — run GRANT SELECT ON "hidden"."things" TO "check_reader";
      tables[1].to: the destination has no schema hidden — CREATE SCHEMA "hidden" AUTHORIZATION "check_writer";
      tables[2].to: role check_writer lacks CREATE on schema locked, where the data is staged — GRANT CREATE ON SCHEMA "locked" TO "check_writer";
      tables[3].to: role check_writer lacks CREATE on schema dw, where the data is staged — GRANT CREATE ON SCHEMA "dw" TO "check_writer";
      tables[3].to: role check_writer must own "dw"."foreign_owned" to replace it, or be a member of its owner check_owner — GRANT "check_owner" TO "check_writer" WITH INHERIT TRUE, SET TRUE;
      destination: role check_writer of connection "warehouse" can't keep the ledger: it may not create the schema longhaul — CREATE SCHEMA "longhaul" AUTHORIZATION "check_writer"; or GRANT CREATE ON DATABASE "check_warehouse" TO "check_writer";
      tables[0].to: role check_writer lacks CREATE on schema dw, where the data is staged — GRANT CREATE ON SCHEMA "dw" TO "check_writer";
      tables[0].to: role check_writer may not read the definition of "dw"."append_only" — GRANT SELECT ON "dw"."append_only" TO "check_writer";
      tables[0].to: role check_writer may not insert into "dw"."append_only" — GRANT INSERT ON "dw"."append_only" TO "check_writer";"
    `);
    await mend(first);
    // What shows only when the first is mended: a table in a schema that could not be used.
    await mend(await said());
    expect((await said()).trim()).toBe('');
  });
});

/** Runs every statement that a check names, as the superuser of the side it is for. */
async function mend(said: string): Promise<void> {
  const statements = new Set([...said.matchAll(/(?:GRANT|CREATE SCHEMA)[^;\n]*;/g)].map(([sql]) => sql));
  for (const sql of statements) await runSql(sql.includes('check_reader') ? urls.shop : urls.warehouse, sql);
}

describe('servers', () => {
  const job = { parallelism: 9, tables: [{ from: 'sales.orders', to: 'dw.new_orders', columns: ['id'] }] };

  it('that are set up otherwise than a copy needs are told, with what mends it', async () => {
    await atWarehouse(`ALTER ROLE check_writer SET default_transaction_read_only = on; ALTER ROLE check_writer CONNECTION LIMIT 5; ALTER ROLE check_writer SET idle_session_timeout = '45s';
      GRANT CREATE ON SCHEMA dw TO check_writer; GRANT CREATE ON DATABASE check_warehouse TO check_writer`);
    await atWarehouse(`CREATE FUNCTION dw.fired() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
      CREATE EVENT TRIGGER guard_ddl ON ddl_command_end EXECUTE FUNCTION dw.fired();
      CREATE PUBLICATION everything FOR ALL TABLES; CREATE PUBLICATION dw_tables FOR TABLES IN SCHEMA dw`);
    try {
      const { problems, warnings } = await check({ shop: urls.shop, warehouse: fixture.careful.warehouse }, job);
      expect(problems).toMatchInlineSnapshot(
        `"destination: role check_writer of connection "warehouse" may only read: default_transaction_read_only is on — run ALTER ROLE "check_writer" RESET default_transaction_read_only;"`,
      );
      expect(warnings).toMatchInlineSnapshot(`
        "destination: parallelism asks for up to 9 sessions at connection "warehouse", and the CONNECTION LIMIT of role check_writer allows 5 — lower parallelism, or run ALTER ROLE "check_writer" CONNECTION LIMIT 11;
        destination: connection "warehouse" ends idle sessions after 45 s (idle_session_timeout), also those that wait for the other side — run ALTER ROLE "check_writer" SET idle_session_timeout = 0;
        destination: publication everything of connection "warehouse" is FOR ALL TABLES: staging is replicated too
        destination: event triggers of connection "warehouse" fire when staging is made and takes the target's place: guard_ddl — see that they let tables named _longhaul_… pass
        tables[0].to: publication dw_tables has all tables of schema dw: staging is replicated too
        tables[0]: the new target won't have the generated columns doubled"
      `);
    } finally {
      await atWarehouse(`DROP EVENT TRIGGER guard_ddl; DROP PUBLICATION everything; DROP PUBLICATION dw_tables;
        ALTER ROLE check_writer RESET default_transaction_read_only; ALTER ROLE check_writer CONNECTION LIMIT -1; ALTER ROLE check_writer RESET idle_session_timeout`);
    }
    expect((await check({ shop: urls.shop, warehouse: fixture.careful.warehouse }, job)).problems).toBe('');
  });

  it("are told when longhaul.yaml itself allows fewer sessions than the job's parallelism", async () => {
    const { warnings } = await check(urls, job, { on: { maxSessions: 3 } });
    expect(warnings).toContain(
      'source: parallelism asks for up to 9 sessions at connection "shop", and its maxSessions in longhaul.yaml allows 3 — lower parallelism, or raise maxSessions',
    );
  });

  it('are told what staging and indexes take, as far as it can be told', async () => {
    await using session = await createPostgresConnector(connectionTo('warehouse', urls.warehouse)).openDestination(
      attemptOf().session(),
    );
    const GB = 1024 ** 3;
    const told = async (bytes: number) =>
      (
        await session.checkSpace!([
          { to: 'dw.a', bytes },
          { to: 'dw.b', bytes: 1 },
        ])
      ).map(({ message }) => message);
    expect(await told(GB / 2)).toEqual([]);
    const [said] = await told(300 * GB);
    expect(said?.replace(/takes [\d.]+ MB now/, 'takes … now')).toMatchInlineSnapshot(
      `"the tables take about 300.0 GB at the source, and the database of connection "warehouse" takes … now: until they are published, staging takes as much again, and its indexes more"`,
    );
    await atWarehouse(`ALTER ROLE CURRENT_USER SET temp_file_limit = '1GB'`);
    try {
      await using limited = await createPostgresConnector(connectionTo('warehouse', urls.warehouse)).openDestination(
        attemptOf().session(),
      );
      const found = await limited.checkSpace!([{ to: 'dw.a', bytes: 5 * GB }]);
      expect(found.at(-1)).toMatchInlineSnapshot(`
        {
          "fix": "as a superuser, run ALTER ROLE "postgres" SET temp_file_limit = -1;",
          "message": "temp_file_limit of role postgres is 1.0 GB: building indexes of dw.a (about 5.0 GB at the source) may not be possible",
          "path": "",
          "severity": "warning",
        }
      `);
    } finally {
      await atWarehouse('ALTER ROLE CURRENT_USER RESET temp_file_limit');
    }
  });
});

describe('poolers in transaction mode', () => {
  it.each<[string, number, PoolerHabits]>([
    ['lend the session that has been idle longest', 2, { longestIdleFirst: true }],
    ['have more sessions than we use', 6, { longestIdleFirst: true }],
    ['tell the pid of a real backend', 2, { realPid: true }],
    ['tell a real pid, of many', 6, { realPid: true, longestIdleFirst: true }],
    ['keep a client at its session, and reset it', 6, { realPid: true, resets: true, longestIdleFirst: true }],
  ])('are problems also when they %s', async (_, size, habits) => {
    const pooler = await startPooler(urls.shop, 'transaction', size, habits);
    try {
      const shop = urls.shop.replace(/:\d+\//, `:${pooler.port}/`);
      const { problems } = await check({ shop, warehouse: urls.warehouse }, { tables: ['sales.orders'] });
      expect(problems).toMatch(
        /^source: connection "shop" goes through a pooler (in transaction mode|that resets sessions between transactions); session locks .* — let "shop" connect to the server itself, or to a pool in session mode\.$/m,
      );
    } finally {
      await pooler.close();
    }
  });

  it('are no problem in session mode', async () => {
    const pooler = await startPooler(urls.shop, 'session', 3);
    try {
      const shop = urls.shop.replace(/:\d+\//, `:${pooler.port}/`);
      const { checked } = await check({ shop, warehouse: urls.warehouse }, { tables: ['sales.orders'] });
      expect(checked.problems.filter(({ path }) => path === 'source')).toEqual([]);
    } finally {
      await pooler.close();
    }
  });
});
