"""Follows all channels, as docs/protocol-sql.md says, with psycopg 3 (Debian: python3-psycopg):  python3 follow.py [global id]

Prints each message once, in the order of global ids: those after the id given, or those from now on. Whatever interrupts
it, a restart with the last id printed goes on where it was. After a restore it says so, and goes on with what is new.
"""

import os
import select
import sys
import time

import psycopg
from psycopg import sql

url = os.environ["DATABASE_URL"]
last = int(sys.argv[1]) if len(sys.argv) > 1 else None
# When the last message was published, and the past that its id belongs to.
last_at = None
incarnation = None


def catch_up(reader, is_first=False):
    """What is new, until nothing is. The first time on a connection, the server may have been put back to an earlier state."""
    global last, last_at, incarnation
    # One statement: all that it finds is of one past.
    rows = reader.execute(
        """select i.incarnation, g.global_id, g.published_at, g.channel, g.data::text
        from message_bus.incarnation() i(incarnation) left join message_bus.global_backlog(%s) g on true""",
        [last],
    ).fetchall()
    if incarnation is not None and (is_first or rows[0][0] != incarnation):
        is_same, incarnation = rows[0][0] == incarnation, rows[0][0]
        if is_another_past(reader, is_same):
            print("another past: following", last, flush=True)
        return catch_up(reader)
    for incarnation, global_id, published_at, channel, data in rows:
        if global_id is not None:
            last, last_at = global_id, published_at
            print(global_id, channel, data, flush=True)


def is_another_past(reader, is_same_incarnation):
    """Whether the last message is no longer what it was; then goes on with what is younger."""
    global last
    is_known, is_undone, place = reader.execute(
        """select coalesce(bool_or(global_id = %(last)s and published_at = %(at)s), false),
          coalesce(bool_or(global_id = %(last)s and published_at <> %(at)s), false) or coalesce(max(global_id), 0) < %(last)s,
          coalesce(min(global_id) filter (where published_at > %(at)s) - 1, max(global_id), 0)
        from message_bus.global_backlog()""",
        {"last": last, "at": last_at},
    ).fetchone()
    if is_known or (is_same_incarnation and not is_undone):
        return False
    last = place
    return True


def follow():
    global last, last_at
    # One connection to listen with, which is never inside a transaction, and one to read with.
    settings = {"autocommit": True, "keepalives_idle": 30, "tcp_user_timeout": 10_000}
    with psycopg.connect(url, **settings) as listener, psycopg.connect(url, **settings) as reader:
        (name,) = reader.execute("select message_bus.notify_channel()").fetchone()
        listener.execute(sql.SQL("listen {}").format(sql.Identifier(name)))
        if last is None:
            (last,) = reader.execute("select coalesce(max(global_id), 0) from message_bus.global_backlog()").fetchone()
        if last_at is None:
            (last_at,) = reader.execute("select coalesce(max(published_at), now()) from message_bus.global_backlog(%s) where global_id = %s", [max(last - 1, 0), last]).fetchone()
        print("following", last, flush=True)
        is_first = True
        while reader.execute("select message_bus.notify_channel()").fetchone() == (name,):
            # After LISTEN: what was published before it brings no notification.
            catch_up(reader, is_first)
            is_first = False
            # Something new, or a few seconds without: then this asks all the same.
            select.select([listener], [], [], 5)
            # Takes the notifications off the connection, and notices where it is dead.
            listener.execute("select 1")


while True:
    try:
        follow()
    except (psycopg.OperationalError, psycopg.errors.UndefinedFunction, psycopg.errors.InvalidSchemaName) as error:
        # The connection was lost, or the schema is being restored.
        print("again in a second:", error, file=sys.stderr)
    time.sleep(1)
