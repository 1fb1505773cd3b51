"""Presentation states in the catalogue: which an image concerns, and which images they lack.

A state and its images may arrive in any order, and long after each other. What a state refers to is
known once it was rendered for the first time; from then on an image that comes queues it again.
"""

import sqlite3
from collections.abc import Iterable
from typing import Final

from appliance.archive.records import PRESENTATION_STATES, Presented

# A literal, not a parameter: SQLite takes a partial index only where it sees the same words.
_WAITING: Final = f"picture = 'queued' AND file = 'held' AND sop_class IN {PRESENTATION_STATES}"
_AGAIN: Final = "UPDATE instances SET picture = 'queued', reason = '', generation = generation + 1"


def image_came(connection: sqlite3.Connection, study: int, image: str) -> None:
    """Queues the states that refer to an image of which there is a new content."""
    connection.execute(
        f"{_AGAIN} WHERE study = ? AND file = 'held'"
        " AND id IN (SELECT state FROM presented WHERE image = ?)",
        (study, image),
    )


def waits(connection: sqlite3.Connection, study: int) -> bool:
    """Whether a state of a study is still to be rendered, and may want any image of it."""
    row = connection.execute(
        f"SELECT 1 FROM instances WHERE study = ? AND {_WAITING} LIMIT 1", (study,)
    ).fetchone()
    return row is not None


def register(
    connection: sqlite3.Connection, state: int, study: int, presented: Iterable[Presented]
) -> None:
    """What a state refers to, as its rendering found it.

    The first time, an image may have come while it was rendered and nobody knew of the reference:
    it is queued again. An image that is held without its file is to be fetched again, if a remote
    lists it.
    """
    known = connection.execute(
        "SELECT 1 FROM presented WHERE state = ? LIMIT 1", (state,)
    ).fetchone()
    forget(connection, state)
    connection.executemany(
        "INSERT OR REPLACE INTO presented (state, image, frame, picture) VALUES (?, ?, ?, ?)",
        ((state, one.image, one.frame, one.picture) for one in presented),
    )
    lacking = connection.execute(
        "SELECT instances.id, file FROM presented JOIN instances"
        " ON instances.study = ? AND instances.uid = presented.image"
        " WHERE state = ? AND presented.picture IS NULL",
        (study, state),
    ).fetchall()
    if known is None and any(file == "held" for _, file in lacking):
        connection.execute(f"{_AGAIN} WHERE id = ?", (state,))
    connection.executemany(
        "UPDATE instances SET file = 'missing', generation = generation + 1 WHERE id = ?"
        " AND EXISTS (SELECT 1 FROM listed"
        "  WHERE listed.study = instances.study AND listed.instance = instances.uid)",
        ((key,) for key, file in lacking if file == "dropped"),
    )


def forget(connection: sqlite3.Connection, state: int) -> None:
    """Removes what is known of a state's images."""
    connection.execute("DELETE FROM presented WHERE state = ?", (state,))
