import type { FaultKind } from '../kind.js';
import type { Scene } from '../scene.js';
import { SIDES } from './links.js';

/** A server that rolls a transaction back in favour of another, and would have it tried again. */

/** Serialization failure, deadlock. */
const CODES = ['40001', '40P01'] as const;

/** An attempt has failed by what it makes of both codes. */
const CONFLICT = /"code":"Conflict"/;

/** When a trigger of the target raises: before the rows of a COPY, behind them, or at COMMIT. */
const TRIGGERS: readonly ((table: string, call: string) => string)[] = [
  (table, call) => `CREATE TRIGGER conflicts BEFORE INSERT ON ${table} FOR EACH STATEMENT ${call}`,
  (table, call) => `CREATE TRIGGER conflicts AFTER INSERT ON ${table} FOR EACH STATEMENT ${call}`,
  (table, call) =>
    `CREATE CONSTRAINT TRIGGER conflicts AFTER INSERT ON ${table} DEFERRABLE INITIALLY DEFERRED FOR EACH ROW ${call}`,
];

/**
 * The first `count` transactions that load rows into the targets are rolled back, by one code and the other in turn. A sequence counts,
 * since it is not rolled back.
 */
async function raiseInTargets({ stack, schema, tables, random }: Scene, count: number): Promise<void> {
  const trigger = random.pick(TRIGGERS);
  await stack.destination.query(`CREATE SEQUENCE ${schema}.conflicts;
    CREATE FUNCTION ${schema}.conflict() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE n bigint := pg_catalog.nextval('${schema}.conflicts');
    BEGIN
      IF n <= ${count} THEN
        RAISE EXCEPTION 'rolled back by the chaos harness'
          USING ERRCODE = CASE n % 2 WHEN 0 THEN '${CODES[0]}' ELSE '${CODES[1]}' END;
      END IF;
      RETURN NULL;
    END $$`);
  for (const table of tables) await stack.destination.query(trigger(table, `EXECUTE FUNCTION ${schema}.conflict()`));
}

/** So many failures at the source, as of a standby that is in the way of its recovery. Answers with the job's tables. */
async function raiseInSources({ stack, schema, tables, random }: Scene): Promise<object> {
  await stack.source.query(`CREATE SEQUENCE ${schema}.conflicts;
    CREATE FUNCTION ${schema}.passes(id bigint) RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN
      IF pg_catalog.current_query() ~ '^COPY' AND (SELECT last_value FROM ${schema}.conflicts) = 1 THEN
        RAISE EXCEPTION 'canceling statement due to conflict with recovery' USING ERRCODE = '${random.pick(CODES)}';
      END IF;
      RETURN true;
    END $$`);
  return { tables: tables.map((from) => ({ from, where: `${schema}.passes(id)` })) };
}

async function conflicts(scene: Scene, count: number): Promise<boolean> {
  return scene.until(async () => (await scene.logged(CONFLICT)) >= count);
}

export const serialization: FaultKind = {
  name: 'serialization-failure',
  about: 'a server rolls transactions back with 40001 or 40P01: a trigger of the target, or what the source reads',
  repeats: true,
  shape: { mode: 'append', publish: 'partition', consistency: 'per-partition', writes: false },
  async run(scene) {
    const count = scene.times(3, 6);
    if (scene.random.pick(SIDES) === 'destination') {
      await raiseInTargets(scene, count);
      await scene.start();
    } else {
      await scene.start(await raiseInSources(scene));
    }
    await conflicts(scene, count);
    scene.struck(Math.min(count, await scene.logged(CONFLICT)));
    await calmSource(scene);
  },
  cleanUp: calmSource,
};

/** The source raises nothing any more, where it did. */
async function calmSource({ stack, schema }: Scene): Promise<void> {
  await stack.source.query(
    `SELECT setval(oid::regclass, 2) FROM pg_class WHERE oid = to_regclass('${schema}.conflicts')`,
  );
}
