"""What the shop keeps, in SQLite: orders, the messages about them, events, and where it stands in the stream.

An order and the message about it are written in one transaction, and the message is sent afterwards ("transactional
outbox"): there is no order without its message, and no message without its order, whenever the power goes.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

TABLES = """
CREATE TABLE IF NOT EXISTS orders (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, contact TEXT NOT NULL, locale TEXT NOT NULL, item TEXT NOT NULL,
    quantity INTEGER NOT NULL, ordered_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
-- key is the Idempotency-Key. status: waiting, refused, then what WaveCom says. version: of the event that said so.
CREATE TABLE IF NOT EXISTS messages (
    key TEXT PRIMARY KEY, order_id TEXT NOT NULL REFERENCES orders, template TEXT NOT NULL, body TEXT NOT NULL,
    job_id TEXT, status TEXT NOT NULL DEFAULT 'waiting', version INTEGER NOT NULL DEFAULT 0, problem TEXT);
CREATE TABLE IF NOT EXISTS events (
    event_id TEXT, source TEXT, key TEXT NOT NULL REFERENCES messages, version INTEGER NOT NULL, status TEXT NOT NULL,
    at TEXT NOT NULL, PRIMARY KEY (event_id, source));
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT);
"""


class Store:
    """The file ``path``; thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._transaction() as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.executescript(TABLES)

    def add_order(self, order: Mapping[str, Any], template: str, body: Mapping[str, Any]) -> None:
        """Take an order with the first message about it. A form that is sent twice has the same id: one order."""
        with self._transaction() as database:
            added = database.execute(
                "INSERT OR IGNORE INTO orders (id, name, contact, locale, item, quantity)"
                " VALUES (:id, :name, :contact, :locale, :item, :quantity)",
                order,
            )
            if added.rowcount:
                _add_message(database, order["id"], template, body)

    def add_message(self, order_id: str, template: str, body: Mapping[str, Any]) -> None:
        """One more message about an order; a second one of the same template is the first."""
        with self._transaction() as database:
            _add_message(database, order_id, template, body)

    def order(self, order_id: str) -> dict[str, Any] | None:
        """An order, its ``messages`` and what was heard of each (``events``); None: there is none."""
        with self._transaction() as database:
            found = database.execute("SELECT * FROM orders WHERE id = ?", [order_id]).fetchone()
            if found is None:
                return None
            messages = database.execute("SELECT * FROM messages WHERE order_id = ? ORDER BY rowid", [order_id])
            by_event = (
                "SELECT status, min(at) AS at, group_concat(source, ' and ') AS sources FROM events WHERE key = ?"
                " GROUP BY event_id ORDER BY version"
            )
            with_events = [
                {**each, "events": database.execute(by_event, [each["key"]]).fetchall()} for each in messages
            ]
            return {**found, "messages": with_events}

    def orders(self) -> list[sqlite3.Row]:
        """The last twenty, the newest first."""
        with self._transaction() as database:
            return database.execute("SELECT * FROM orders ORDER BY rowid DESC LIMIT 20").fetchall()

    def messages(self, status: str) -> list[sqlite3.Row]:
        """Those of a status, the oldest first; those which WaveCom has not answered are ``waiting``."""
        with self._transaction() as database:
            return database.execute("SELECT * FROM messages WHERE status = ? ORDER BY rowid", [status]).fetchall()

    def accepted(self, key: str, job_id: str, status: str) -> None:
        """WaveCom has taken a message. An event of it may have been quicker than the answer, and counts more."""
        with self._transaction() as database:
            database.execute(
                "UPDATE messages SET job_id = ?, status = CASE version WHEN 0 THEN ? ELSE status END WHERE key = ?",
                [job_id, status, key],
            )

    def refused(self, key: str, problem: str) -> None:
        """WaveCom never takes this message."""
        with self._transaction() as database:
            database.execute("UPDATE messages SET status = 'refused', problem = ? WHERE key = ?", [problem, key])

    def record(self, event: Mapping[str, Any], source: str, position: str | None = None) -> None:
        """Note an event that ``source`` told of, and, with it, where the stream stands.

        Doubles change nothing, nor does an event that comes after a later one, nor one of a message of somebody else.
        """
        data = event["data"]
        with self._transaction() as database:
            if position is not None:
                _keep(database, "position", position)
            key = data.get("idempotencyKey")
            if not database.execute("SELECT 1 FROM messages WHERE key = ?", [key]).fetchone():
                return
            heard = [event["eventId"], source, key, data["version"], data["status"], event["timestamp"]]
            database.execute("INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?, ?)", heard)
            problem = (data["error"] or {}).get("message")
            database.execute(
                "UPDATE messages SET job_id = ?, status = ?, version = ?, problem = ? WHERE key = ? AND version < ?",
                [data["jobId"], data["status"], data["version"], problem, key, data["version"]],
            )

    def correct(self, message: sqlite3.Row, status: str) -> None:
        """Note how a message stands, unless an event has told meanwhile."""
        with self._transaction() as database:
            values = [status, message["key"], message["version"]]
            database.execute("UPDATE messages SET status = ? WHERE key = ? AND version = ?", values)

    def setting(self, name: str) -> str | None:
        """What was kept by this name."""
        with self._transaction() as database:
            found = database.execute("SELECT value FROM settings WHERE name = ?", [name]).fetchone()
            return None if found is None else found["value"]

    def keep(self, **settings: str | None) -> None:
        """Keep these, all or none."""
        with self._transaction() as database:
            for name, value in settings.items():
                _keep(database, name, value)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=10, isolation_level="IMMEDIATE")) as database:
            database.row_factory = sqlite3.Row
            with database:
                yield database


def _keep(database: sqlite3.Connection, name: str, value: str | None) -> None:
    database.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", [name, value])


def _add_message(database: sqlite3.Connection, order_id: str, template: str, body: Mapping[str, Any]) -> None:
    # The same whenever it is sent: this is what keeps a customer from being told twice.
    key = f"{order_id}-{template}"
    row = [key, order_id, template, json.dumps(body)]
    database.execute("INSERT OR IGNORE INTO messages (key, order_id, template, body) VALUES (?, ?, ?, ?)", row)
