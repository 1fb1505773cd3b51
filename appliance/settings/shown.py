"""What the status page is told of the settings: what it shows, and who may see it.

The page's user cannot read the settings themselves: other secrets are in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import Field, dataclass
from typing import Any

from appliance.settings.kinds import Kind, Pem
from appliance.settings.model import ListOf, Settings, Table, keys_of
from appliance.settings.passwords import PasswordHash, TokenHash
from appliance.settings.places import Link, Token

SECRET_KINDS = (Pem, PasswordHash, TokenHash, Token)


@dataclass(frozen=True, slots=True)
class Applied:
    """One key as it holds, in TOML; `value` is empty if it is absent."""

    table: str
    key: str
    value: str
    secret: bool = False
    """It is given, and not shown."""
    own: bool = False
    """It differs from the default."""


@dataclass(frozen=True, slots=True)
class ShownRemote:
    """A remote AE, as people need it."""

    name: str
    title: str
    host: str
    port: int
    query: bool


@dataclass(frozen=True, slots=True)
class ShownWatch:
    """An entry of the watch list; `since` is a day (ISO 8601) or empty."""

    patient_id: str
    pseudonym: str = ""
    accession: str = ""
    since: str = ""
    remotes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """The settings as the page has them. It holds patients' numbers, and proofs of secrets."""

    revision: int = 0
    name: str = ""
    language: str = ""
    timezone: str = "UTC"
    title: str = ""
    port: int = 0
    allow_from: tuple[str, ...] = ()
    password: str = ""
    """Hashed, as `token`; empty: nobody can log in."""
    token: str = ""
    certificate: str = ""
    """The page's own, in PEM, as its `key`; empty: the box makes one."""
    key: str = ""
    remotes: tuple[ShownRemote, ...] = ()
    watch: tuple[ShownWatch, ...] = ()
    applied: tuple[Applied, ...] = ()


def shown(settings: Settings) -> Shown:
    """What the page is told of `settings`."""
    panel = settings.panel
    return Shown(
        revision=settings.revision,
        name=settings.box.name,
        language=settings.box.language,
        timezone=settings.box.timezone,
        title=settings.ae.title,
        port=settings.ae.port,
        allow_from=panel.allow_from,
        password=panel.password or "",
        token=panel.token or "",
        certificate=panel.certificate or "",
        key=panel.key or "",
        remotes=tuple(
            ShownRemote(one.name, one.title, one.host, one.port, one.query)
            for one in settings.remotes
        ),
        watch=tuple(
            ShownWatch(
                one.patient_id,
                one.pseudonym or "",
                one.accession or "",
                one.since.isoformat() if one.since else "",
                one.remotes,
            )
            for one in settings.watch
        ),
        applied=tuple(_applied(settings)),
    )


def _applied(settings: Settings) -> Iterator[Applied]:
    """Every key but those of remotes and watch entries, which are lists of their own."""
    for key, of, setting in keys_of(Settings):
        value = getattr(settings, of.name)
        if isinstance(setting.kind, Table):
            if value is not None:
                yield from _of_table(key, value, "")
        elif isinstance(setting.kind, Kind | ListOf):
            yield _one("", key, of, setting.kind, value)


def _of_table(table: str, values: Any, prefix: str) -> Iterator[Applied]:
    for key, of, setting in keys_of(type(values)):
        value = getattr(values, of.name)
        if isinstance(setting.kind, Table):
            yield from _of_table(table, value, f"{prefix}{key}.")
        elif isinstance(setting.kind, Kind | ListOf):
            yield _one(table, prefix + key, of, setting.kind, value)


def _one(table: str, key: str, of: Field[Any], kind: Kind[Any] | ListOf, value: object) -> Applied:
    own = value != of.default
    if value is None:
        return Applied(table, key, "", own=own)
    if isinstance(kind, SECRET_KINDS):
        return Applied(table, key, "", secret=True, own=own)
    if isinstance(kind, Link):
        value = without_query(str(value))
    return Applied(table, key, kind.write(value), own=own)  # type: ignore[arg-type]


def without_query(address: str) -> str:
    """An address as far as it is no secret: some servers take a proof of who may read behind it."""
    before, mark, _ = address.partition("?")
    return f"{before}?…" if mark else before
