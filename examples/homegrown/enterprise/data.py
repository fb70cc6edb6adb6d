"""What the enterprise has: three tables, whose rows are made from their numbers."""

import re
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

NAMES = ("Łukasiewicz & Söhne", "東京電機", "O'Brien, Ltd.", 'Firma "Nord"', "Καφές Α.Ε.", "🚚 Spedition", "  padded  ", "NULL")
# NULL and the empty string are two things, and neither is the text NULL.
NOTES = (None, "", "paid, in full", 'said "later"', "first line\nsecond line", "\\N", "tab\there", "first\n\\.\nlast", None, "naïve café ☕")
STATES = ("open", "shipped", "returned", None)

BEGIN = datetime(2019, 1, 1, tzinfo=timezone.utc)
FIRST_DAY = date(2019, 1, 1)
INVOICES_A_DAY = 100


def order(n):
    cents = Decimal(n * 7919 % 100_000_000) / 100
    placed = BEGIN + timedelta(seconds=n * 61, microseconds=n * 7919 % 1_000_000)
    return (n, n * 31 % 5000, STATES[n % 4], cents, placed, NOTES[n % len(NOTES)])


def customer(n):
    credit = None if n % 6 == 0 else Decimal(n * 1_000_003) / Decimal(2 ** (n % 20)) - 5000
    born = FIRST_DAY - timedelta(days=7000 + n * 11 % 20_000)
    return (n, "%s %d" % (NAMES[n % len(NAMES)], n), None if n % 5 == 0 else "%d@example.org" % n, credit, born, n % 3 == 0)


def invoice(n):
    day = FIRST_DAY + timedelta(days=n // INVOICES_A_DAY)
    due = None if n % 7 == 0 else day + timedelta(days=30)
    amount = Decimal(n * 104_729 % 10_000_000_000) / 10_000
    return (2**40 + n, day, due, amount, "R-%08d" % n, NOTES[(n // 3) % len(NOTES)])


TABLES = {
    "orders": (("order_id", "customer_id", "state", "amount", "placed_at", "note"), order),
    "customers": (("customer_id", "name", "email", "credit", "born", "vip"), customer),
    "invoices": (("invoice_id", "day", "due", "amount", "number", "remark"), invoice),
}

BOUND = r"(\d+|DATE '\d{4}-\d\d-\d\d')"
FORM = re.compile(r"SELECT (\*|[\w, ]+) FROM erp\.(\w+) WHERE (\w+) >= %s AND (\w+) < %s" % (BOUND, BOUND))


class Query:
    def __init__(self, table, columns, first, end):
        self._every, self._make = TABLES[table]
        self.columns = self._every if columns == "*" else tuple(name.strip() for name in columns.split(","))
        self._numbers = range(first, max(first, end))
        self.count = len(self._numbers)

    def rows(self):
        places = [self._every.index(name) for name in self.columns]
        for n in self._numbers:
            row = self._make(n)
            yield tuple(row[place] for place in places)


def parse(sql):
    """The one form of query there is: all or some columns, between two numbers or two days."""
    form = FORM.fullmatch(sql)
    if not form or form[2] not in TABLES:
        raise ValueError("EDS-0900: not a query of this server: %s" % sql)
    return Query(form[2], form[1], _number(form[4]), _number(form[6]))


def _number(bound):
    if bound.isdigit():
        return int(bound)
    return (date.fromisoformat(bound[6:-1]) - FIRST_DAY).days * INVOICES_A_DAY
