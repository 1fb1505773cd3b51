"""The annotated example and the reference: whole, and true to the model."""

import re
import tomllib
from dataclasses import MISSING, fields

import pytest

from appliance.settings.example import default_in_words, example
from appliance.settings.kinds import Kind, Pem
from appliance.settings.model import ListOf, Settings, Table, Tables, keys_of
from appliance.settings.reader import Problems, read
from appliance.settings.reference import reference
from tests.unit.settings.files import CERTIFICATE, KEY


def documented(model=Settings, table="", prefix=""):
    """Every key of the model: (its table, its name in it, the field, the setting)."""
    for key, of, setting in keys_of(model):
        match setting.kind:
            case Table(inner) | Tables(inner) if model is Settings:
                yield from documented(inner, key)
            case Table(inner):
                yield from documented(inner, table, f"{key}.")
            case Kind() | ListOf():
                yield table, prefix + key, of, setting


KEYS = list(documented())
NAMES = [f"{table}.{key}".lstrip(".") for table, key, _, _ in KEYS]


def on(text, marks):
    """The example with so many marks before a line taken away."""
    for _ in range(marks):
        text = re.sub(r"^#(?! )", "", text, flags=re.MULTILINE)
    for label, pem in (("CERTIFICATE", CERTIFICATE), ("PRIVATE KEY", KEY)):
        text = text.replace(Pem(label).sample, pem)
    return text


def test_the_example_reads_back_as_the_defaults():
    assert read(example()) == Settings(revision=1)


def test_the_example_is_toml_for_every_reader():
    assert tomllib.loads(example())["ae"]["port"] == Settings(1).ae.port


def test_what_is_required_is_enough_when_tables_are_switched_on():
    text = on(example(), 1)
    with pytest.raises(Problems, match=r"tls\.authorities"):
        read(text)
    settings = read(text.replace("require_certificate = true", "require_certificate = false"))
    (remote,) = settings.remotes
    (watch,) = settings.watch
    for table in (remote, watch):
        for of in fields(table):
            if of.default is not MISSING:
                assert getattr(table, of.name) == of.default


def test_everything_switched_on_is_right_and_sets_every_key():
    settings = read(on(example(), 2))
    tables = {"": settings} | {
        key: getattr(settings, of.name)
        if isinstance(setting.kind, Table)
        else getattr(settings, of.name)[0]
        for key, of, setting in keys_of(Settings)
        if not isinstance(setting.kind, Kind)
    }
    for table, key, of, setting in KEYS:
        value = tables[table]
        for step in key.split("."):
            value = getattr(value, step)
        if isinstance(setting.kind, Pem):
            assert value in (CERTIFICATE, KEY)
        else:
            assert value == (setting.sample if of.default in (MISSING, None) else of.default)


def test_pasting_nothing_is_a_mistake_of_its_own():
    text = re.sub(r"^#(?! )", "", example(), flags=re.MULTILINE)
    with pytest.raises(Problems) as caught:
        read(text)
    keys = {"tls.certificate", "tls.key", "panel.certificate", "panel.key", "images.recipients"}
    assert {each.key for each in caught.value.problems} == keys


def sections(text, heading):
    """The text below each heading, by the heading's name."""
    parts = re.split(heading, text, flags=re.MULTILINE)
    return dict(zip(["", *parts[1::2]], parts[::2], strict=True))


@pytest.mark.parametrize(("table", "key", "of", "setting"), KEYS, ids=NAMES)
def test_the_example_explains_every_key(table, key, of, setting):
    section = sections(example(), r"^#?\[{1,2}(\w+)\]{1,2}$")[table]
    above = re.search(rf"((?:^# .*\n)+)#*{re.escape(key)} = ", section, re.MULTILINE)
    words = " ".join(above[1].replace("# ", " ").split())
    default = default_in_words(of, setting.kind)
    for part in (setting.meaning, f"Takes {setting.kind.expected}.", default):
        assert " ".join(part.split()) in words


@pytest.mark.parametrize(("table", "key", "of", "setting"), KEYS, ids=NAMES)
def test_the_reference_has_every_key(table, key, of, setting):
    section = sections(reference(), r"^### (?:`\[+(\w+)\]+`|At the top)$")
    below = section[table] if table else section[None]
    (row,) = (line for line in below.split("\n") if line.startswith(f"| `{key}` |"))
    row = re.sub(r"\\([\\*|<_\[])", r"\1", row)
    default = default_in_words(of, setting.kind).removeprefix("Default: ").removesuffix(".")
    assert row == f"| `{key}` | {setting.meaning} | {setting.kind.expected} | {default} |"


def test_every_row_of_the_reference_has_four_cells():
    rows = [line for line in reference().split("\n") if line.startswith("|")]
    assert len(rows) > len(KEYS)
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {5}


def test_the_example_fits_a_screen():
    assert max(len(line) for line in example().split("\n")) <= 100
