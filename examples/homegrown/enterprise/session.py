"""Sessions: signed in once, good for one process."""

import csv
import fcntl
import os
import tempfile
import uuid

from . import data, trouble

BANNER = """\
==============================================================
  ACME Enterprise Data Services, client 11.4.2
  For authorized use only. All queries are recorded.
=============================================================="""

ROWS_PER_FILE = 1000


def login():
    """Signs in with ERP_USER and ERP_PASSWORD; the session is for this process alone. Raises Busy when the server has none to give."""
    print(BANNER)
    if not (os.environ.get("ERP_USER") and os.environ.get("ERP_PASSWORD")):
        raise trouble.EnterpriseError("EDS-1017: user or password is missing: set ERP_USER and ERP_PASSWORD")
    trouble.at_login()
    return Session(uuid.uuid4().hex[:12])


class Session:
    """Refuses to work in a process other than its own: forked from it, or started with a copy of it."""

    def __init__(self, token):
        self.token = token
        self._owner = os.getpid()
        self._lock = _locked(token)
        print("INFO  session %s issued to process %d" % (token, self._owner))

    def __setstate__(self, state):
        """A copy that was sent to another process: the original has the lock."""
        self.__init__(state["token"])

    def __getstate__(self):
        return {"token": self.token}

    def query(self, sql):
        """The rows of `SELECT … FROM erp.orders WHERE order_id >= 0 AND order_id < 1000`, see `data.parse`."""
        self._check()
        print("INFO  %s: query accepted" % self.token)
        trouble.before_rows()
        return Result(self, data.parse(sql))

    def save_to_dir(self, sql, folder):
        """Writes the rows as part-00000.csv, part-00001.csv … with a header each; answers with how many rows there were."""
        rows = self.query(sql)
        out = None
        for number, row in enumerate(rows):
            if number % ROWS_PER_FILE == 0:
                if out:
                    out.close()
                out = open(os.path.join(folder, "part-%05d.csv" % (number // ROWS_PER_FILE)), "w", newline="", encoding="utf-8")
                csv.writer(out, lineterminator="\n").writerow(rows.columns)
            out.write(csv_line(row))
        if out:
            out.close()
        return rows.count

    def close(self):
        self._check()
        trouble.at_close()
        self._lock.close()
        print("INFO  session %s closed" % self.token)

    def _check(self):
        if os.getpid() != self._owner:
            raise trouble.EnterpriseError(
                "EDS-0007: session %s belongs to process %d and does not work in process %d: sign in again"
                % (self.token, self._owner, os.getpid())
            )


class Result:
    """The rows of a query as tuples, once. `count`: how many there are, by the server's word."""

    def __init__(self, session, query):
        self.columns = query.columns
        self.count = query.count
        self._session = session
        self._rows = trouble.amid(query.rows(), query.count)

    def __iter__(self):
        for row in self._rows:
            self._session._check()
            yield row


def csv_line(values):
    """A record of CSV that tells NULL, nothing between two commas, from the empty string, which is two quotes."""
    return ",".join("" if value is None else '"%s"' % str(value).replace('"', '""') for value in values) + "\n"


def _locked(token):
    """Locks the token's own byte of a file, for this process alone: a forked child does not inherit it, and it ends with the process."""
    file = open(os.path.join(tempfile.gettempdir(), "acme-sessions-%d.lock" % os.getuid()), "a")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, int(token, 16))
    except OSError:
        raise trouble.EnterpriseError("EDS-0008: session %s is used by another process: sign in again" % token) from None
    return file
