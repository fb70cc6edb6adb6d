-- The control table, as it is: which queries make up which table. A query's id is unique within its table only.
CREATE TABLE _extract (
  query_id integer,
  table_name text,
  query text NOT NULL,
  completed timestamptz,
  PRIMARY KEY (table_name, query_id)
);

-- Its content, made up: so many queries a table, of so many rows each (invoices are cut by day, a hundred rows each).
CREATE FUNCTION fill_extract(queries integer, rows_each integer) RETURNS void LANGUAGE sql BEGIN ATOMIC
  INSERT INTO _extract (query_id, table_name, query)
  SELECT n, table_name,
    format('SELECT * FROM erp.%1$s WHERE %2$s >= %3$s AND %2$s < %4$s', table_name, key, (n - 1) * rows_each, n * rows_each)
  FROM generate_series(1, queries) AS n, (VALUES ('orders', 'order_id'), ('customers', 'customer_id')) AS numbered (table_name, key);

  INSERT INTO _extract (query_id, table_name, query)
  SELECT n, 'invoices', format('SELECT * FROM erp.invoices WHERE day >= DATE %L AND day < DATE %L', begin + (n - 1) * days, begin + n * days)
  FROM generate_series(1, queries) AS n, (SELECT date '2019-01-01' AS begin, greatest(1, rows_each / 100) AS days) AS cut;
END;
