"""Follows all channels, as docs/protocol-sql.md says, with psycopg 3 (Debian: python3-psycopg):  python3 follow.py [global id]

Prints each message once, in the order of global ids: those after the id given, or those from now on. Whatever interrupts
it, a restart with the last id printed goes on where it was.
"""

import os
import select
import sys
import time

import psycopg
from psycopg import sql

url = os.environ["DATABASE_URL"]
last = int(sys.argv[1]) if len(sys.argv) > 1 else None


def catch_up(reader):
    """What is new, until nothing is."""
    global last
    for global_id, channel, data in reader.execute(
        "select global_id, channel, data::text from message_bus.global_backlog(%s)", [last]
    ):
        last = global_id
        print(global_id, channel, data, flush=True)


def follow():
    global last
    # One connection to listen with, which is never inside a transaction, and one to read with.
    settings = {"autocommit": True, "keepalives_idle": 30, "tcp_user_timeout": 10_000}
    with psycopg.connect(url, **settings) as listener, psycopg.connect(url, **settings) as reader:
        (name,) = reader.execute("select message_bus.notify_channel()").fetchone()
        listener.execute(sql.SQL("listen {}").format(sql.Identifier(name)))
        if last is None:
            (last,) = reader.execute("select coalesce(max(global_id), 0) from message_bus.global_backlog()").fetchone()
        print("following", last, flush=True)
        while True:
            # After LISTEN: what was published before it brings no notification.
            catch_up(reader)
            # Something new, or a minute without: then this asks all the same.
            select.select([listener], [], [], 60)
            # Takes the notifications off the connection, and notices where it is dead.
            listener.execute("select 1")


while True:
    try:
        follow()
    except psycopg.OperationalError as error:
        print("again in a second:", error, file=sys.stderr)
    time.sleep(1)
