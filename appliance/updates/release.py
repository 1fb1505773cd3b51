"""What a version of the box says of itself: in the bundle that brings it, and in its own root."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

RELEASE: Final = "usr/lib/netty/release.json"
"""Where a root tells which release it is."""

GROUP: Final = "netty"
"""The group of a bundle's metadata (`[meta.netty]` in its manifest)."""

_VARIABLE: Final = f"RAUC_META_{GROUP.upper()}_"
"""What the names of the variables begin with that RAUC gives a handler."""


class NoRelease(Exception):
    """A bundle or a root does not say which release it is."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The version of a database: the one that a release makes of it, and who can read that."""

    version: int
    oldest_able: int
    """The oldest version whose code still works on it."""


@dataclass(frozen=True, slots=True)
class Release:
    """A version of the box."""

    version: str
    build: str
    """The commit it was made of."""
    catalogue: Schema
    requests: Schema

    @property
    def order(self) -> tuple[int, ...]:
        """What tells the older of two versions. Raises NoRelease."""
        if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6}){0,3}", self.version):
            raise NoRelease(f"{self.version!r} is no version such as 1.2.0")
        return tuple(map(int, self.version.split(".")))

    def is_older_than(self, version: str) -> bool:
        """Whether it is older than a version. Raises NoRelease."""
        mine, theirs = self.order, Release(version, "", self.catalogue, self.requests).order
        most = max(len(mine), len(theirs))
        return _filled(mine, most) < _filled(theirs, most)

    def write(self) -> str:
        """The text of `release.json`."""
        return json.dumps(asdict(self), indent=2) + "\n"

    def meta(self, root_hash: str) -> dict[str, str]:
        """The metadata of a bundle that brings it, with the hash of its root."""
        return {
            "version": self.version,
            "build": self.build,
            "root": root_hash,
            **{
                f"{name}-{part}": str(number)
                for name in ("catalogue", "requests")
                for part, number in asdict(getattr(self, name)).items()
            },
        }


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a signed bundle brings."""

    release: Release
    root_hash: str
    """It names the version to the last bit."""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Bundle:
        """The bundle that RAUC's variables describe. Raises NoRelease."""

        def value(name: str) -> str:
            try:
                return environment[_VARIABLE + name.upper().replace("-", "_")]
            except KeyError:
                raise NoRelease(f"the bundle does not say its {name}") from None

        schemas = {
            name: {part.name: value(f"{name}-{part.name}") for part in fields(Schema)}
            for name in ("catalogue", "requests")
        }
        said = {"version": value("version"), "build": value("build"), **schemas}
        return cls(_release(said), value("root"))


def read_release(root: Path = Path("/")) -> Release:
    """The release that runs. Raises NoRelease."""
    file = root / RELEASE
    try:
        return _release(json.loads(file.read_bytes()))
    except (OSError, ValueError) as error:
        raise NoRelease(f"{file}: {error}") from None


def _release(said: Mapping[str, Any]) -> Release:
    try:
        schemas = {
            name: Schema(**{part.name: int(said[name][part.name]) for part in fields(Schema)})
            for name in ("catalogue", "requests")
        }
        release = Release(str(said["version"]), str(said["build"]), **schemas)
    except (KeyError, TypeError, ValueError) as error:
        raise NoRelease(f"not a description of a release: {error!r}") from None
    release.is_older_than(release.version)  # It must be a version at all.
    return release


def _filled(order: tuple[int, ...], most: int) -> tuple[int, ...]:
    return order + (0,) * (most - len(order))
