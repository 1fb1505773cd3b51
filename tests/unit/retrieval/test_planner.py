"""The difference between what a remote lists and what is durable here."""

from dataclasses import replace

import pytest

from appliance.dicom.scu import RequestFailed
from appliance.retrieval.watchlist import WatchList
from appliance.settings.model import Watch
from tests.unit.retrieval.stage import CT, PACS, QUERY, Image, Stage, failure, images

STUDY = "1.2.3"


def wanted(stage: Stage, patient: str = "P1") -> tuple[str, ...]:
    entry = Watch(patient)
    return stage.planner.wanted_studies(PACS, WatchList((entry,), QUERY), entry)


def test_each_wanted_study_once(stage: Stage) -> None:
    stage.remote.held = [*images("P1", "1.1"), *images("P1", "1.2"), *images("P2", "1.3")]
    assert wanted(stage) == ("1.1", "1.2")
    assert stage.remote.asked == ["FIND STUDY P1"]
    assert wanted(stage, "P9") == ()


def test_a_remote_that_knows_no_patient_id_is_told_so(stage: Stage) -> None:
    stage.remote.held = [replace(one, patient="") for one in images("P1", "1.1")]
    stage.remote.held += images("P2", "1.2")
    stage.remote.find = lambda remote, level, keys: (  # type: ignore[method-assign]
        stage.remote._match(level, one) for one in stage.remote.held
    )
    with pytest.raises(RequestFailed, match=r"Patient ID \(0010,0020\) at study level"):
        wanted(stage)


def test_study_then_series_then_image(stage: Stage) -> None:
    stage.remote.held = images("P1", STUDY, count=2, series=2)
    plan = stage.planner.plan(PACS, STUDY)
    assert stage.remote.asked == [
        f"FIND SERIES {STUDY}",
        f"FIND IMAGE {STUDY} {STUDY}.1",
        f"FIND IMAGE {STUDY} {STUDY}.2",
    ]
    expected = {stage.mapped(one.instance): one for one in stage.remote.held}
    assert plan.missing == plan.listed.keys() == expected.keys()
    for mapped, one in plan.listed.items():
        assert (one.series, one.instance) == (expected[mapped].series, expected[mapped].instance)
    assert plan.study == STUDY
    assert plan.mapped == stage.mapped(STUDY)
    assert plan.modalities == {"CT"}
    assert stage.catalogue.study_progress(plan.mapped).outstanding == 4


def test_a_relational_remote_is_asked_once(stage: Stage) -> None:
    stage.remote.held = images("P1", STUDY, count=2, series=2)
    plan = stage.planner.plan(replace(PACS, relational=True), STUDY)
    assert stage.remote.asked == [f"FIND IMAGE {STUDY}"]
    assert len(plan.listed) == 4
    assert plan.modalities == frozenset()


def test_only_what_is_not_durable_is_missing(stage: Stage) -> None:
    stage.remote.held = images("P1", STUDY, count=3)
    stage.deliver(PACS, stage.remote.held[0])
    plan = stage.planner.plan(PACS, STUDY)
    assert plan.missing == {stage.mapped(one.instance) for one in stage.remote.held[1:]}
    for one in stage.remote.held:
        stage.deliver(PACS, one)
    assert stage.planner.plan(PACS, STUDY).missing == frozenset()


def test_a_study_that_grew_lacks_what_is_new(stage: Stage) -> None:
    stage.remote.held = images("P1", STUDY, count=2)
    for one in stage.remote.held:
        stage.deliver(PACS, one)
    stage.remote.held = images("P1", STUDY, count=3)
    assert stage.planner.plan(PACS, STUDY).missing == {stage.mapped(f"{STUDY}.1.3")}


def test_what_lies_elsewhere_or_has_no_uid_is_left(stage: Stage) -> None:
    stage.remote.held = [
        *images("P1", STUDY, count=1),
        Image("P1", STUDY, f"{STUDY}.1", ""),
        Image("P1", STUDY, "", "1.2.3.1.2"),
        Image("P1", STUDY, "", ""),
        *images("P2", "9.9"),
    ]
    stage.remote.find = lambda remote, level, keys: (  # type: ignore[method-assign]
        stage.remote._match(level, one) for one in stage.remote.held
    )
    listed = stage.planner.plan(PACS, STUDY).listed
    assert listed.keys() == {stage.mapped(f"{STUDY}.1.1"), stage.mapped(f"{STUDY}.1.2")}
    assert {one.series for one in listed.values()} == {f"{STUDY}.1"}


@pytest.mark.parametrize(
    ("sop_class", "taken"),
    [
        (CT, True),
        ("", True),
        ("CT", True),
        ("1.2.840.10008.5.1.4.1.2.2.1", True),  # The query's own, for want of better.
        ("1.2.840.10008.5.1.4.1.1.481.5", False),
        ("1.2.840.10008.5.1.4.34.7", False),
        ("1.3.12.2.1107.5.9.1", False),
    ],
)
def test_what_is_of_another_storage_class_is_left(
    stage: Stage, sop_class: str, taken: bool
) -> None:
    image, other = images("P1", STUDY, count=2)
    stage.remote.held = [image, replace(other, sop_class=sop_class)]
    plan = stage.planner.plan(PACS, STUDY)
    expected = {image.instance, other.instance} if taken else {image.instance}
    assert plan.listed.keys() == plan.missing == {stage.mapped(each) for each in expected}
    assert plan.untaken == (frozenset() if taken else {sop_class})
    assert stage.catalogue.study_progress(plan.mapped).outstanding == len(expected)


def test_progress_is_shown_before_each_query(stage: Stage) -> None:
    stage.remote.held = images("P1", STUDY, series=3)
    seen: list[int] = []
    stage.planner.plan(PACS, STUDY, lambda: seen.append(len(stage.remote.asked)))
    assert seen == [0, 1, 2, 3]


def test_a_failure_midway_leaves_the_listing_as_it_was(stage: Stage) -> None:
    stage.remote.held = images("P1", STUDY, count=2)
    before = stage.planner.plan(PACS, STUDY)
    stage.remote.held = images("P1", STUDY, count=3)
    stage.remote.failures["FIND IMAGE"] = failure("status")
    with pytest.raises(RequestFailed):
        stage.planner.plan(PACS, STUDY)
    assert stage.catalogue.listed(before.mapped, PACS.name) == before.listed.keys()
