"""Small JSON reports under /run: each written by its one owner, read by anybody.

A report replaces the one before it by a rename, so a reader sees the old or the new one, whole. Its
age is told by the monotonic clock, which all processes of one boot share and nobody can set.
"""

import json
import math
import os
import secrets
import time
import types
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import (
    Any,
    ClassVar,
    Literal,
    Protocol,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

SERVICE = "netty-ae/report.json"
"""Where the AE tells how it is, below the run folder."""
PROVISION = "netty-provision/report.json"
UPDATE = "netty-update/report.json"
HEALTH = "netty-health/state.json"

REPORT_EVERY = 3.0
"""Seconds between two reports of an owner that runs."""
STALE_AFTER = 20.0
"""Seconds after which such an owner is taken to be hung: a busy processor delays by less."""

LARGEST = 1 << 20
"""Bytes of a report that are read; no owner writes so many."""


class Unreadable(Exception):
    """There is no such report, or it is not of the form that its reader expects."""


@dataclass(frozen=True, slots=True)
class RemoteReport:
    """How a remote AE answered lately. Times are seconds since 1970."""

    name: str
    last_reached: float | None = None
    last_failed: float | None = None
    failure: str = ""
    """A sentence; empty if it was reached since."""


@dataclass(frozen=True, slots=True)
class SpaceReport:
    """Room on the data partition, in bytes."""

    free: int
    """Above the reserve."""
    total: int
    low: bool
    """Nothing is taken until there is room."""


@dataclass(frozen=True, slots=True)
class ServiceReport:
    """What the AE tells. Nothing in it says anything about a patient."""

    written: float
    """CLOCK_MONOTONIC, in seconds."""
    started: float | None = None
    """When it started, in seconds since 1970; None if it could not."""
    failure: str = ""
    """Why it could not start, in a sentence."""
    box: str = ""
    """What people call this box."""
    language: Literal["", "ja", "en"] = ""
    """Of the page, for a browser that asks for neither."""
    revision: int = 0
    """Of the settings with which it runs."""
    title: str = ""
    port: int = 0
    suspended: bool = False
    obstacle: str = ""
    """Why no pictures are made, in a sentence."""
    space: SpaceReport | None = None
    remotes: tuple[RemoteReport, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    """Figures of the catalogue, by name."""
    counters: Mapping[str, int] = field(default_factory=dict)
    """What it counted since the archive was made, by name."""


@dataclass(frozen=True, slots=True)
class ProvisionReport:
    """What became of the last provisioning stick."""

    outcome: Literal["", "applying", "accepted", "already applied", "rejected"] = ""
    sentence: str = ""
    plugged: bool = False
    """Whether that stick is still there."""
    at: float | None = None
    """When, in seconds since 1970."""
    revision: int | None = None
    """Of the settings that are active."""


@dataclass(frozen=True, slots=True)
class UpdateReport:
    """What is being done to the firmware."""

    phase: Literal["", "resetting", "writing", "trial", "rolled back"] = ""
    sentence: str = ""


class Dataclass(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


R = TypeVar("R", bound=Dataclass)


def write_report(path: Path, report: Dataclass, *, durable: bool = False) -> None:
    """Replace the report at `path`, whose folder must exist; `durable`: it survives a power cut.

    Raises OSError.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, 0o644)  # For anybody, whatever its owner's umask.
            json.dump(asdict(report), file, ensure_ascii=False, default=dict)
            if durable:
                file.flush()
                os.fsync(descriptor)
        os.rename(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    if durable:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_report(path: Path, kind: type[R]) -> R:
    """Return the report at `path`. Raises Unreadable.

    Keys that `kind` does not know are left alone, so a newer owner may write more.
    """
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST)
        return from_json(kind, json.loads(text))
    except (OSError, ValueError, RecursionError) as error:
        raise Unreadable(f"{path}: {error}") from error


def is_fresh(written: float, within: float = STALE_AFTER, now: float | None = None) -> bool:
    """Whether something written at `written` (CLOCK_MONOTONIC, seconds) is of this moment."""
    return 0 <= (time.monotonic() if now is None else now) - written <= within


def from_json(kind: type[R], value: object) -> R:
    """Return `value`, as JSON has it, as a `kind`. Raises ValueError."""
    made: R = _value(kind, value)
    return made


def _value(kind: Any, value: object) -> Any:
    if is_dataclass(kind):
        return _dataclass(kind, value)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return None if value is None else _value(arguments[0], value)
    if origin is tuple and isinstance(value, list):
        return tuple(_value(arguments[0], one) for one in value)
    if origin is Mapping and isinstance(value, dict):
        return {str(name): _value(arguments[1], one) for name, one in value.items()}
    if origin is Literal and value in arguments:
        return value
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        if math.isfinite(value):
            return float(value)
    elif kind in (int, str, bool) and type(value) is kind:
        return value
    raise ValueError(f"expected {kind}, found {str(value)[:40]!r}")


def _dataclass(kind: Any, value: object) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"expected a {kind.__name__}, found {str(value)[:40]!r}")
    hints = get_type_hints(kind)
    missing = [
        one.name
        for one in fields(kind)
        if one.name not in value and one.default is MISSING and one.default_factory is MISSING
    ]
    if missing:
        raise ValueError(f"a {kind.__name__} needs {', '.join(missing)}")
    return kind(
        **{
            one.name: _value(hints[one.name], value[one.name])
            for one in fields(kind)
            if one.name in value
        }
    )
