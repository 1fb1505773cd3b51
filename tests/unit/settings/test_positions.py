"""Places: the scanner against tomli, on texts made for it and on mutations of a whole file."""

from pathlib import Path

import pytest
import tomli
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from appliance.settings.positions import DEEPEST, Lines, Place, locate, statement_at
from tests.unit.settings.files import WHOLE

TRICKY = (Path(__file__).parent / "tricky.toml").read_text("utf-8")


def paths(tree, path=()):
    """Every path of a tree with its value."""
    for step, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield (*path, step), value
        if isinstance(value, dict | list):
            yield from paths(value, (*path, step))


def offset(text, place):
    """The offset of a place."""
    return sum(len(line) + 1 for line in text.split("\n")[: place.line - 1]) + place.column - 1


LONGEST = 1000
"""No value in these tests is written with more characters."""


def begins_with_value(text, value):
    """Whether TOML for the value stands at the beginning of the text."""
    for end in range(1, min(len(text), LONGEST) + 1):
        try:
            (read,) = tomli.loads(f"x = {text[:end]}").values()
        except (tomli.TOMLDecodeError, ValueError):
            continue
        if repr(read) == repr(value):  # Not by ==: NaN differs from itself, and True equals 1.
            return True
    return False


def begins_with_key(text, key):
    """Whether TOML for the key stands at the beginning of the text."""
    for end in range(1, min(len(text), LONGEST) + 1):
        try:
            if tomli.loads(f"{text[:end]} = 0") == {key: 0}:
                return True
        except tomli.TOMLDecodeError:
            continue
    return False


def begins_with_header(text):
    """Whether a table's header stands at the beginning of the text."""
    try:
        return text.startswith("[") and bool(tomli.loads(text.partition("\n")[0]))
    except tomli.TOMLDecodeError:
        return False


def disagreements(text):
    """Every path of tomli's tree at whose place something else stands."""
    places = locate(text)
    for path, value in paths(tomli.loads(text)):
        name = path[-1]
        at_key = text[offset(text, places.key(path)) :]
        at_value = text[offset(text, places.value(path)) :]
        if isinstance(name, str) and not begins_with_key(at_key, name):
            yield path, "key", at_key[:20]
        if isinstance(value, dict | list) and begins_with_header(at_value):
            continue
        if isinstance(value, dict) and isinstance(name, str) and begins_with_key(at_value, name):
            continue  # A dotted key makes this table.
        if not begins_with_value(at_value, value):
            yield path, "value", at_value[:20]


@pytest.mark.parametrize("text", [TRICKY, WHOLE], ids=["tricky", "whole"])
def test_every_key_and_value_of_a_text_has_its_place(text):
    assert set(locate(text)) == {path for path, _ in paths(tomli.loads(text))}
    assert list(disagreements(text)) == []


SCALARS = (
    *("1", "0x1F", "1_0.5e-3", "inf", "true", "2025-04-01", "2025-04-01 10:00:00", "10:00:00"),
    *('"x # ]"', "'y = }'", '"""\nz\n"""', "'''w'''", '""', "''", '"\\""', '"""q""""'),
)


@st.composite
def statements(draw):
    """Texts of a few statements, most of them TOML, of keys that repeat and values that mislead."""
    part = st.sampled_from(["a", "b", "a-1", '"a"', "'b.c'", '"\\u0061"', '"x\\"]"'])
    key = st.lists(part, min_size=1, max_size=3).map(draw(st.sampled_from([".", " . "])).join)
    scalar = st.sampled_from(SCALARS)
    space = st.sampled_from(["", " ", "\t"])
    lined = st.sampled_from(["", " ", "\n", " # ] }\n"])
    value = st.recursive(
        scalar,
        lambda inner: (
            st.lists(inner, max_size=3).flatmap(
                lambda entries: lined.map(
                    lambda gap: f"[{gap}{(gap + ',' + gap).join(entries)}{gap}]"
                )
            )
            | st.lists(st.tuples(key, inner), max_size=3).map(
                lambda pairs: "{" + ", ".join(f"{name} = {entry}" for name, entry in pairs) + "}"
            )
        ),
        max_leaves=6,
    )
    pair = st.tuples(space, key, space, space, value, space).map(
        lambda t: f"{t[0]}{t[1]}{t[2]}={t[3]}{t[4]}{t[5]}"
    )
    header = st.tuples(space, key, space).map(lambda t: f"{t[0]}[{t[2]}{t[1]}{t[2]}]")
    headers = st.tuples(space, key, space).map(lambda t: f"{t[0]}[[{t[2]}{t[1]}{t[2]}]]{t[0]}")
    comment = st.sampled_from(["", "# x = 1", "\t# [y]"])
    return "\n".join(draw(st.lists(pair | header | headers | comment, max_size=6)))


@settings(deadline=None)
@given(statements())
def test_places_agree_with_what_tomli_reads(text):
    try:
        tree = tomli.loads(text)
    except tomli.TOMLDecodeError:
        assume(False)
    assert set(locate(text)) == {path for path, _ in paths(tree)}
    assert list(disagreements(text)) == []


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_places_agree_on_mutations_of_a_whole_file(data):
    at = data.draw(st.integers(0, len(WHOLE)))
    cut = data.draw(st.integers(0, 30))
    added = data.draw(st.text("ab1 .,=#\"'[]{}\n\\", max_size=3))
    text = WHOLE[:at] + added + WHOLE[at + cut :]
    try:
        tree = tomli.loads(text)
    except (tomli.TOMLDecodeError, ValueError):
        assume(False)
    assert set(locate(text)) == {path for path, _ in paths(tree)}
    assert list(disagreements(text)) == []


def test_columns_count_characters():
    text = 'a = ["検", "査"]\n  "鍵" = 1\n'
    places = locate(text)
    assert places.value(("a", 1)) == Place(1, 11)
    assert places.key(("鍵",)) == Place(2, 3)
    assert places.value(("鍵",)) == Place(2, 9)


def test_a_path_that_is_not_there_has_the_place_of_what_is_around_it():
    places = locate("x = 1\n\n[[a]]\nb = 1\n [[a]]\nb = {c = 2}\n")
    assert places.value(("a", 1, "z")) == Place(5, 2)
    assert places.key(("a", 1, "b", "z")) == Place(6, 1)
    assert places.value(("a", 1, "b", "z")) == Place(6, 5)
    assert places.value(("z",)) == Place(1, 1)
    assert places.value(()) == Place(1, 1)


def test_what_is_nested_too_deep_has_the_place_of_what_is_around_it():
    deep = "x = " + "[" * (DEEPEST + 5) + "]" * (DEEPEST + 5)
    places = locate(deep)
    assert places.value(("x", *[0] * (DEEPEST - 1))) == Place(1, 4 + DEEPEST)
    assert places.value(("x", *[0] * (DEEPEST + 3))) == Place(1, 4 + DEEPEST)


def test_lines_count_from_one():
    lines = Lines("ab\n\nc")
    assert [lines.place(at) for at in range(6)] == [
        Place(1, 1), Place(1, 2), Place(1, 3), Place(2, 1), Place(3, 1), Place(3, 2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "at", "start", "path"),
    [
        ("a = 1\nb = x", 10, 6, ("b",)),
        ("a = 1\n  b = [\n 1\n x", 17, 8, ("b",)),
        ("[[r]]\n[[r]]\nport 1", 17, 12, ("r", 1, "port")),
        ("[[r]]\n[[r]]\nport = 01", 20, 12, ("r", 1, "port")),
        ("[a\nb = 1", 2, 0, ("a",)),
        ("a = 1\n?", 6, 6, ()),
        ('a = """\nb = 1\n', 14, 0, ("a",)),
        ("a = 1\nb = 2\na = 3\nc = 4", 17, 12, ("a",)),
        ("", 0, 0, ()),
        ("a = 1\n # \x01", 9, 6, ()),
        ("a = 1\n # \x01\nb = 2", 9, 6, ()),
        ("a = 1 # \x01", 8, 0, ("a",)),
    ],
)
def test_the_statement_with_a_mistake_is_found(text, at, start, path):
    statement = statement_at(text, at)
    assert (statement.start, statement.path) == (start, path)


def test_a_statement_knows_its_value_and_an_earlier_one():
    statement = statement_at("a = 1\nb = 2\na = 3", 17)
    assert (statement.value, statement.earlier) == (16, 0)
    first = statement_at("a = 1\nb = x", 10)
    assert (first.value, first.earlier) == (10, None)
    header = statement_at("[a]\n[b]\n[a]", 10)
    assert (header.value, header.earlier) == (None, 1)


@settings(deadline=None)
@given(st.text("ab1 .,=#\"'[]{}\n\\\r\t", max_size=40), st.integers(0, 40))
def test_a_statement_is_found_in_any_text(text, at):
    statement = statement_at(text, at)
    assert 0 <= statement.start <= max(0, min(at, len(text)))
