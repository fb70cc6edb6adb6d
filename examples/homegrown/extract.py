"""Between the enterprise's library and Longhaul: one query a process, so one session a query."""

import json
import sys

import enterprise

request = json.load(sys.stdin)


def field(value):
    """NULL is nothing at all; everything else stands in quotes."""
    return "" if value is None else '"%s"' % str(value).replace('"', '""')


try:
    session = enterprise.login()
    rows = session.query(request["query"])
    with open(request["out"], "w", encoding="utf-8", newline="") as out:
        out.write(",".join(rows.columns) + "\n")
        for row in rows:
            out.write(",".join(map(field, row)) + "\n")
    session.close()
    with open(request["done"], "w") as done:
        json.dump({"rows": rows.count}, done)
except enterprise.Busy as busy:
    print(busy, file=sys.stderr)
    sys.exit(75)
