"""Mistakes in a file: where, which key, what was expected, what was found, what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from appliance.settings.kinds import quoted


class Obstacle(Exception):
    """What keeps a program from its work and is no fault of it; the text says what to do."""


Path = tuple[str | int, ...]
"""The way to a value through tables (by key) and lists (by index from 0)."""


def dotted(path: Path) -> str:
    """Return a path as people write it; what stands in lists is counted from 1: remote[2].port."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step + 1}]"
        else:
            text += ("." if text else "") + _part(step)
    return text


def _part(key: str) -> str:
    shown = key if len(key) <= 40 else f"{key[:40]}…"
    return shown if re.fullmatch(r"[A-Za-z0-9_-]+…?", shown) else quoted(shown)


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake. Line and column count characters from 1, at the key or at its value.

    `key` is dotted (see `dotted`), and empty where the mistake is about the file as a whole.
    `file` is empty for netty.toml.
    """

    line: int
    column: int
    key: str
    expected: str
    found: str
    remedy: str
    file: str = ""

    def __str__(self) -> str:
        key = f"{self.key}: " if self.key else ""
        return (
            f"{self.line}:{self.column}: {key}"
            f"expected {self.expected}, found {self.found}; {self.remedy}"
        )


class Problems(Exception):
    """All mistakes, file by file in the order in which they stand there; never none."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda each: (each.file, each)))
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))
