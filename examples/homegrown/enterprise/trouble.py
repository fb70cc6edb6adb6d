"""What goes wrong, on purpose. ERP_FAILURE_RATE is the part of all sessions that fail, each in one of these ways; ERP_LATENCY is
how many seconds the server takes to begin with an answer, on the average; ERP_TROUBLE_LOG a file that gets the kind of each failure."""

import os
import random
import signal
import time


class EnterpriseError(Exception):
    """The server's or the library's own complaint."""


class Busy(EnterpriseError):
    """Come back later."""


WAYS = ("busy", "refused", "lost", "short", "killed", "late")

_way = random.choice(WAYS) if random.random() < float(os.environ.get("ERP_FAILURE_RATE", "0")) else None
_latency = float(os.environ.get("ERP_LATENCY", "0"))


def at_login():
    if _struck("busy"):
        raise Busy("EDS-1040: all sessions are taken, try again later")


def before_rows():
    # One in twenty is slow.
    time.sleep(random.expovariate(1) * _latency * (10 if random.random() < 0.05 else 1))
    if _struck("refused"):
        raise EnterpriseError("EDS-2210: the server is out of temporary space")


def amid(rows, count):
    """The rows, up to where things go wrong."""
    end = random.randrange(count or 1) if _way in ("lost", "short", "killed") else None
    for number, row in enumerate(rows):
        if number == end:
            break
        yield row
    if _struck("lost"):
        raise EnterpriseError("EDS-3113: the connection was lost after %d rows" % end)
    if _struck("killed"):
        # As the system does to a program that takes too much memory.
        os.kill(os.getpid(), signal.SIGKILL)
    # The answer just ends, without an error. Such libraries exist.
    _struck("short")


def at_close():
    if _struck("late"):
        raise EnterpriseError("EDS-3135: the session was lost")


def _struck(way):
    if way == _way and "ERP_TROUBLE_LOG" in os.environ:
        with open(os.environ["ERP_TROUBLE_LOG"], "a") as log:
            log.write(way + "\n")
    return way == _way
