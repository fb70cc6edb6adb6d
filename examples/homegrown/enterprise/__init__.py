"""The enterprise's library: it signs in, and it answers queries. Standard library only, Python 3.8 or later.

It stands for the one that you have. Like many of its kind it prints to standard output, issues sessions that don't survive a fork,
and fails now and then (see `trouble`). What it serves is made up, and is the same each time it is asked (see `data`).
"""

from .session import Session, login
from .trouble import Busy, EnterpriseError

__all__ = ["Busy", "EnterpriseError", "Session", "login"]
