import type { Scene } from '../scene.js';

/** What scenarios do to servers and ask of them. All scenes here have one table. */

/** The source's statistics say that most keys are low: a third of them below a fifth of the rows. */
export async function skewStatistics(scene: Scene): Promise<void> {
  const { rows } = scene.shape;
  await changeStatistics(scene);
  const bounds = Array.from({ length: 101 }, (_, n) => 1 + Math.floor((rows - 1) * (n / 100) ** 1.5));
  await scene.stack.source.query(
    `SELECT pg_restore_attribute_stats('schemaname', $1::text, 'relname', 't1', 'attname', 'id', 'inherited', false,
       'null_frac', 0::real, 'avg_width', 8, 'n_distinct', -1::real, 'histogram_bounds', $2::text)`,
    [scene.schema, `{${bounds.join(',')}}`],
  );
}

/** And now they are as the rows are. */
export async function changeStatistics(scene: Scene): Promise<void> {
  await scene.stack.source.query(`ANALYZE ${scene.tables[0]}`);
}

/** As if the destination were now a standby that had not got the last commits: a receipt is gone, and its rows. */
export async function loseCommitted(scene: Scene): Promise<void> {
  const { destination } = scene.stack;
  const [last] = await destination.query<{ staging: string; ordinal: number; predicate: string }>(
    `SELECT t.staging, r.partition AS ordinal, p.partitions -> r.partition ->> 'predicate' AS predicate
     FROM longhaul.receipts r JOIN longhaul.run_tables t USING (run, table_name)
       JOIN longhaul.plan_pages p USING (run, table_name)
     WHERE r.run = $1 ORDER BY r.committed_at DESC LIMIT 1`,
    [scene.run],
  );
  const { staging, ordinal, predicate } = last!;
  await destination.query(`BEGIN; DELETE FROM ${staging} WHERE ${predicate};
    DELETE FROM longhaul.receipts WHERE run = '${scene.run}' AND partition = ${ordinal}; COMMIT`);
}

/** Whether a session of Longhaul looks again and again for transactions that have to end before it publishes: its last statement tells. */
export async function waitsForReaders(scene: Scene): Promise<boolean> {
  const waiting = await scene.stack.destination.query(
    `SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name ^@ 'longhaul'
       AND query ~ '^\\s*SELECT a.pid, l.virtualtransaction'`,
  );
  return waiting.length > 0;
}

/** Whether an attempt waits for another's transaction to end. */
export async function waitsForTransaction(scene: Scene): Promise<boolean> {
  const waiting = await scene.stack.destination.query(
    `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = 'transactionid'`,
  );
  return waiting.length > 0;
}
