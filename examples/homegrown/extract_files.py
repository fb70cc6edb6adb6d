"""The same for a library that only writes files: all of `out` is read once `done` is there."""

import json
import sys

import enterprise

request = json.load(sys.stdin)
session = enterprise.login()
rows = session.save_to_dir(request["query"], request["out"])
session.close()
with open(request["done"], "w") as done:
    json.dump({"rows": rows}, done)
