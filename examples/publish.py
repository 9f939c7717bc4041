"""Publishes and reads with psycopg 3 (Debian: python3-psycopg):  python3 publish.py /chat"""

import os
import sys

import psycopg
from psycopg.types.json import Jsonb

channel = sys.argv[1]

with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:

    def publish(channel, data, user_ids=None):
        row = connection.execute(
            "select message_bus.publish(%s, %s, user_ids => %s::text[])",
            [channel, Jsonb(data), user_ids],
        ).fetchone()
        return row[0]

    # With your own data: the message goes out when the transaction commits, and never if it does not.
    with connection.transaction():
        connection.execute("create temp table notes (body text) on commit drop")
        connection.execute("insert into notes values ('hello')")
        print("published", publish(channel, {"from": "python", "text": "hello"}))

    with connection.transaction():
        publish(channel, "never seen")
        raise psycopg.Rollback()

    # For some alone. Ids are text: the cast in the statement takes numbers, too.
    print("published", publish(channel, "for 42", user_ids=[42]))

    # What can be read after an id that you have seen: 0, from the beginning.
    for message_id, data in connection.execute("select message_id, data::text from message_bus.backlog(%s, %s)", [channel, 0]):
        print(message_id, data)

    # Errors have an SQLSTATE.
    try:
        publish("/__status", 1)
    except psycopg.Error as error:
        print("refused", error.sqlstate)
