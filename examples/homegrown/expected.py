"""Not part of a job: the rows that queries answer with, without session, trouble or CSV, to compare a copy with.

Reads queries, one a line; writes one JSON object a row, with values as texts.
"""

import json
import sys

from enterprise import data

for line in sys.stdin:
    query = data.parse(line.rstrip("\n"))
    for row in query.rows():
        print(json.dumps(dict(zip(query.columns, row)), default=str))
