#!/bin/sh
# Makes or upgrades the two databases of the Temporal server. Runs to its end before the server starts; run again it finds
# everything done. Host, port, user, password and plugin are read from SQL_* by temporal-sql-tool itself.
set -eu
schemas=/etc/temporal/schema/postgresql/v12

for pair in temporal:temporal temporal_visibility:visibility; do
  database=${pair%%:*} schema=${pair##*:}
  temporal-sql-tool --database "$database" create
  temporal-sql-tool --database "$database" setup-schema --version 0.0
  temporal-sql-tool --database "$database" update-schema --schema-dir "$schemas/$schema/versioned"
done
