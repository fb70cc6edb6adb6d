-- The lake. Two tables are there already, with what somebody loaded last week; the third is made by the first copy.
CREATE SCHEMA bronze;

CREATE TABLE bronze.erp_orders (
  order_id bigint PRIMARY KEY,
  customer_id integer NOT NULL,
  state text,
  amount numeric(12, 2) NOT NULL,
  placed_at timestamptz NOT NULL,
  note text
);

CREATE TABLE bronze.erp_customers (
  customer_id integer PRIMARY KEY,
  name text NOT NULL,
  email text,
  credit numeric,
  born date NOT NULL,
  vip boolean NOT NULL
);

INSERT INTO bronze.erp_orders VALUES (-1, 0, 'open', 0, now() - interval '7 days', 'of last week: replaced by the copy');
