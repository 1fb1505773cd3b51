"""Whose studies are wanted, of which remote, and of when."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from appliance.dicom.matches import Match
from appliance.retrieval.watchlist import WatchList, pseudonyms
from appliance.settings.model import Query, RemoteAE, Watch

MAIN = RemoteAE(name="main", title="PACS", host="192.0.2.10")
WARD = RemoteAE(name="ward", title="WARD", host="192.0.2.11")
STUDY = Match("STUDY", patient_id="P1", accession="A1", study="1.2.3", study_date="20260401")
TODAY = date(2026, 4, 30)


def watch_list(*entries: Watch, **query: object) -> WatchList:
    return WatchList(entries, replace(Query(), **query), lambda: TODAY)


def test_an_entry_without_remotes_is_asked_of_every_one_that_may_be_queried() -> None:
    anywhere, there = Watch("P1"), Watch("P2", remotes=("ward",))
    wanted = watch_list(anywhere, there)
    assert wanted.for_remote(MAIN) == (anywhere,)
    assert wanted.for_remote(WARD) == (anywhere, there)
    assert wanted.for_remote(replace(WARD, query=False)) == ()


def test_the_accession_number_is_a_key_only_where_the_settings_say_so() -> None:
    entry = Watch("P1", accession="A1")
    assert watch_list(entry).keys(entry) == {"PatientID": "P1"}
    used = watch_list(entry, use_accession=True)
    assert used.keys(entry) == {"PatientID": "P1", "AccessionNumber": "A1"}
    assert used.keys(Watch("P1")) == {"PatientID": "P1"}
    assert used.wants(entry, STUDY)
    assert not used.wants(entry, replace(STUDY, accession="A2"))
    assert watch_list(entry).wants(entry, replace(STUDY, accession="A2"))


@pytest.mark.parametrize("found", ["P2", "", "P1 ", "p1", "P10"])
def test_a_study_of_anybody_else_is_not_wanted(found: str) -> None:
    entry = Watch("P1")
    assert watch_list(entry).wants(entry, STUDY)
    assert not watch_list(entry).wants(entry, replace(STUDY, patient_id=found))


@pytest.mark.parametrize("uid", ["", "*", "1.2.?", "1.2.3\\1.2.4", "1.2.３"])
def test_a_study_that_cannot_be_asked_for_by_its_uid_is_not_wanted(uid: str) -> None:
    entry = Watch("P1")
    assert not watch_list(entry).wants(entry, replace(STUDY, study=uid))


@pytest.mark.parametrize(
    ("since", "days", "earliest"),
    [
        (date(2026, 4, 10), None, date(2026, 4, 10)),
        (None, 7, TODAY - timedelta(days=7)),
        (date(2026, 4, 10), 7, TODAY - timedelta(days=7)),
        (date(2026, 4, 28), 7, date(2026, 4, 28)),
    ],
)
def test_a_study_must_be_of_the_later_of_both_days(
    since: date | None, days: int | None, earliest: date
) -> None:
    entry = Watch("P1", since=since)
    wanted = watch_list(entry, study_window=None if days is None else days * 86_400)
    on_the_day = replace(STUDY, study_date=earliest.strftime("%Y%m%d"))
    the_day_before = (earliest - timedelta(days=1)).strftime("%Y%m%d")
    assert wanted.wants(entry, on_the_day)
    assert not wanted.wants(entry, replace(STUDY, study_date=the_day_before))
    assert wanted.wants(entry, replace(STUDY, study_date=""))


def test_the_window_moves_with_the_day() -> None:
    days = [date(2026, 1, 1)]
    wanted = WatchList((Watch("P1"),), Query(study_window=86_400), lambda: days[-1])
    old = replace(STUDY, study_date="20251231")
    assert wanted.wants(Watch("P1"), old)
    days.append(date(2026, 1, 2))
    assert not wanted.wants(Watch("P1"), old)


def test_pseudonyms_are_those_that_the_list_names() -> None:
    entries = (Watch("P1", pseudonym="NET-1"), Watch("P2"))
    assert pseudonyms(entries) == {"P1": "NET-1"}
