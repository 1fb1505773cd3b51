"""The model: every field documented, every default and sample within its own limits."""

import tomllib
from dataclasses import MISSING, fields, is_dataclass
from datetime import date

import pytest

from appliance.settings.kinds import Kind, Pem
from appliance.settings.model import (
    TLS,
    Box,
    Fleet,
    Images,
    ListOf,
    LocalAE,
    Mask,
    Network,
    Panel,
    Query,
    RemoteAE,
    Settings,
    Storage,
    Table,
    Tables,
    Timeouts,
    Update,
    Watch,
    keys_of,
    setting_of,
)

CLASSES = (
    Settings,
    Box,
    Network,
    Panel,
    Update,
    Fleet,
    LocalAE,
    TLS,
    RemoteAE,
    Query,
    Timeouts,
    Watch,
    Images,
    Mask,
    Storage,
)
FIELDS = [(model, of) for model in CLASSES for of in fields(model)]
NAMES = [f"{model.__name__}.{of.name}" for model, of in FIELDS]


def classes_below(model):
    """The classes that are reached from a class by its tables."""
    yield model
    for _, _, setting in keys_of(model):
        if isinstance(setting.kind, Table | Tables):
            yield from classes_below(setting.kind.model)


def test_every_class_is_reached_from_the_settings():
    assert set(classes_below(Settings)) == set(CLASSES)


@pytest.mark.parametrize(("model", "of"), FIELDS, ids=NAMES)
def test_every_field_says_what_it_means(model, of):
    assert setting_of(of).meaning.endswith(".")


@pytest.mark.parametrize(("model", "of"), FIELDS, ids=NAMES)
def test_a_field_without_a_default_has_a_sample(model, of):
    setting = setting_of(of)
    if isinstance(setting.kind, Kind) and of.default in (MISSING, None):
        assert setting.sample is not None
    else:
        assert setting.sample is None, "the example shows the default; a sample is never seen"


@pytest.mark.parametrize(("model", "of"), FIELDS, ids=NAMES)
def test_defaults_and_samples_read_back_as_written(model, of):
    setting = setting_of(of)
    shown = of.default if of.default not in (MISSING, None) else setting.sample
    match setting.kind:
        case Pem():
            assert "lines of your file" in setting.sample, "nobody's certificate can be a sample"
        case Kind() as kind:
            (written,) = tomllib.loads(f"x = {kind.write(shown)}").values()
            assert kind.read(written) == shown
        case ListOf(kind):
            assert shown == ()
        case Table(inner):
            assert shown is None or (isinstance(shown, inner) and is_dataclass(shown))
        case Tables():
            assert shown == ()


def test_the_defaults_are_those_of_the_conformance_statement():
    settings = Settings(1)
    assert (settings.ae.title, settings.ae.port) == ("HAPPY_netty", 104)
    assert settings.ae.max_pdu == 16384
    assert settings.query.timeouts == Timeouts(association=60, response=60, total=1000)
    assert settings.query.use_accession is False
    assert settings.images.deidentify == "basic"


def test_a_remote_is_found_by_its_name():
    main, other = RemoteAE("main", "PACS", "h"), RemoteAE("other", "PACS2", "h")
    settings = Settings(1, remotes=(main, other))
    assert settings.remote("other") is other


def test_an_unknown_remote_is_answered_with_the_known_ones():
    settings = Settings(1, remotes=(RemoteAE("main", "PACS", "h"), RemoteAE("b", "B", "h")))
    with pytest.raises(LookupError, match=r"no remote is named 'mian'.*main, b"):
        settings.remote("mian")
    with pytest.raises(LookupError, match="none"):
        Settings(1).remote("x")


def test_a_remote_calls_as_itself_unless_told_otherwise():
    plain = RemoteAE("main", "PACS", "192.0.2.1")
    assert (plain.calling_titles, plain.origins) == (("PACS",), ("192.0.2.1",))
    told = RemoteAE("main", "PACS", "h", calls_as=("A", "B"), calls_from=("192.0.2.0/24",))
    assert (told.calling_titles, told.origins) == (("A", "B"), ("192.0.2.0/24",))


def test_what_is_confidential_is_not_in_the_representation():
    settings = Settings(
        1,
        tls=TLS(certificate="public", key="the key"),
        watch=(Watch("12345", accession="A77", since=date(2025, 1, 1)),),
    )
    for secret in ("the key", "12345", "A77"):
        assert secret not in repr(settings)
    assert "public" in repr(settings)
