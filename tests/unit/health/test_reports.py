"""Reports: what is read is what was written, whole, or nothing."""

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.health.reports import (
    LARGEST,
    ProvisionReport,
    RemoteReport,
    ServiceReport,
    SpaceReport,
    Unreadable,
    from_json,
    is_fresh,
    read_report,
    write_report,
)

FULL = ServiceReport(
    written=12.5,
    started=1.8e9,
    box="第一",
    revision=3,
    title="HAPPY_netty",
    port=104,
    space=SpaceReport(1, 2, False),
    remotes=(RemoteReport("main", 1.0, None, "it is off"), RemoteReport("ward")),
    counts={"instances": 7},
)


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("report", [FULL, ServiceReport(1.0, failure="a key is damaged")])
def test_what_was_written_is_read(tmp_path: Path, report: ServiceReport, durable: bool) -> None:
    file = tmp_path / "report.json"
    write_report(file, FULL)
    write_report(file, report, durable=durable)
    assert read_report(file, ServiceReport) == report
    assert list(tmp_path.iterdir()) == [file]


def test_anybody_may_read_it_whatever_its_owner_is_used_to(tmp_path: Path) -> None:
    mask = os.umask(0o077)
    try:
        write_report(tmp_path / "report.json", FULL)
    finally:
        os.umask(mask)
    assert (tmp_path / "report.json").stat().st_mode & 0o777 == 0o644


def test_a_reader_sees_the_old_or_the_new_one_whole(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    write_report(file, ServiceReport(0.0))
    written = threading.Event()

    def write() -> None:
        for number in range(300):
            write_report(file, ServiceReport(float(number), failure="x" * (number * 50)))
        written.set()

    thread = threading.Thread(target=write)
    thread.start()
    reads = 0
    while not written.is_set():
        report = read_report(file, ServiceReport)
        assert len(report.failure) == 50 * int(report.written)
        reads += 1
    thread.join()
    assert reads > 10


def test_what_cannot_be_written_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    write_report(file, FULL)
    with pytest.raises(TypeError):
        write_report(file, ServiceReport(1.0, counts={"a": object()}))  # type: ignore[dict-item]
    assert read_report(file, ServiceReport) == FULL
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(OSError):
        write_report(tmp_path / "nowhere/report.json", FULL)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"{}",
        b'{"written": true}',
        b'{"written": "1"}',
        b'{"written": NaN}',
        b'{"written": 1, "port": 1.5}',
        b'{"written": 1, "remotes": {}}',
        b'{"written": 1, "remotes": [{}]}',
        b'{"written": 1, "counts": {"a": "b"}}',
        b'{"written": 1, "space": 3}',
        b"[" * 100_000,
        b'{"written": 1, "box": "' + b"x" * LARGEST + b'"}',
    ],
)
def test_what_is_no_report_is_said_to_be_none(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "report.json"
    file.write_bytes(text)
    with pytest.raises(Unreadable, match=r"report\.json"):
        read_report(file, ServiceReport)


def test_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(Unreadable):
        read_report(tmp_path / "report.json", ServiceReport)


def test_an_outcome_that_nobody_knows_is_none() -> None:
    with pytest.raises(ValueError):
        from_json(ProvisionReport, {"outcome": "perhaps"})


def test_a_newer_owner_may_say_more() -> None:
    said = {"outcome": "accepted", "plugged": True, "mood": "good"}
    assert from_json(ProvisionReport, said) == ProvisionReport("accepted", plugged=True)


WORDS = st.text('ab"1é', max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner) | st.dictionaries(WORDS, inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*ServiceReport.__dataclass_fields__]), JSON))
def test_whatever_is_in_the_file_is_a_report_or_none(said: dict[str, Any]) -> None:
    try:
        report = from_json(ServiceReport, json.loads(json.dumps(said)))
    except ValueError:
        return
    assert isinstance(report.written, float)


def test_age_is_told_by_the_clock_that_nobody_sets() -> None:
    assert is_fresh(time.monotonic())
    assert is_fresh(100.0, within=5, now=105.0)
    assert not is_fresh(100.0, within=5, now=105.1)
    assert not is_fresh(100.0, within=5, now=99.0), "it is of another boot"
