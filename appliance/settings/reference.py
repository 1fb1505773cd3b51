"""The reference of netty.toml in Markdown, made from the model."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.settings.example import default_in_words
from appliance.settings.kinds import Kind
from appliance.settings.model import ListOf, Settings, Table, Tables, keys_of


def reference() -> str:
    """Return a heading and a table of keys for every table of netty.toml."""
    return "\n".join([*_section("At the top", "", Settings), *_sections()])


def _sections() -> Iterator[str]:
    for key, _, setting in keys_of(Settings):
        match setting.kind:
            case Table(model):
                yield from _section(f"`[{key}]`", setting.meaning, model)
            case Tables(model):
                yield from _section(f"`[[{key}]]`", setting.meaning, model)


def _section(title: str, meaning: str, model: type) -> Iterator[str]:
    yield f"### {title}\n"
    if meaning:
        yield f"{meaning}\n"
    yield "| key | meaning | takes | without it |"
    yield "|---|---|---|---|"
    yield from _rows(model, "")
    yield ""


def _rows(model: type, prefix: str) -> Iterator[str]:
    for key, of, setting in keys_of(model):
        match setting.kind:
            case Table(inner) if model is not Settings:
                yield from _rows(inner, f"{key}.")
            case Kind() | ListOf() as kind:
                default = default_in_words(of, kind).removesuffix(".").removeprefix("Default: ")
                cells = (f"`{prefix}{key}`", setting.meaning, kind.expected, default)
                yield f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(text: str) -> str:
    if text.startswith("`"):
        return text
    for character in "\\*|<_[":
        text = text.replace(character, "\\" + character)
    return text
