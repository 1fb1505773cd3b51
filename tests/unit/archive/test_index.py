"""What programs search, in a catalogue with everything that instances may have become."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.archive.catalogue import Catalogue
from appliance.archive.files import Folders
from appliance.archive.index import KEYS, Index, Keys, Level, query
from tests.unit.archive.material import STUDY, arrive, instance, render_all

OTHER = "2.25.2"


@pytest.fixture
def index(catalogue: Catalogue, folders: Folders) -> Iterator[Index]:
    """Three CT slices and an MR of two frames of one patient, and another's CR."""
    for number in (2, 1, 3):
        arrive(catalogue, folders, instance(number))
    render_all(catalogue, folders)
    mr = instance(4, series="2.25.1.2", instance="2.25.1.2.4", modality="MR", frames=2)
    arrive(catalogue, folders, mr)
    render_all(catalogue, folders, frames=2)
    arrive(
        catalogue,
        folders,
        instance(
            1,
            study=OTHER,
            series="2.25.2.1",
            instance="2.25.2.1.1",
            modality="CR",
            patient="subject-[8]*",
        ),
    )
    with closing(Index.of_file(folders.catalogue)) as index:
        yield index


def studies(index: Index, **keys: str) -> list[str]:
    found = index.find_studies({name: (value,) for name, value in keys.items()}, 10)
    return [one.study for one in found]


def instances(index: Index, **keys: str) -> list[str]:
    found = index.find_instances({name: (value,) for name, value in keys.items()}, 10)
    return [one.instance for one in found]


def test_a_study_says_what_is_in_it(index: Index) -> None:
    first, second = index.find_studies({}, 10)
    assert (first.study, first.patient, first.modalities) == (STUDY, "subject-7", ("CT", "MR"))
    assert (first.series, first.instances) == (2, 4)
    assert (second.study, second.modalities, second.instances) == (OTHER, ("CR",), 1)
    (ct, mr, _) = index.find_series({}, 10)
    assert (ct.study, ct.modality, ct.instances) == (STUDY, "CT", 3)
    assert (mr.modality, mr.instances) == ("MR", 1)
    assert index.find_instances({"Modality": ("MR",)}, 10)[0].frames == 2


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ({"PatientID": "subject-7"}, [STUDY]),
        ({"PatientID": "subject-*"}, [STUDY, OTHER]),
        ({"PatientID": "subject-?"}, [STUDY]),
        ({"PatientID": "*[8]*"}, [OTHER]),
        ({"PatientID": "Subject-7"}, []),
        ({"PatientID": "subject-[78]"}, []),
        ({"PatientID": "subject-7' OR 1=1 --"}, []),
        ({"StudyInstanceUID": OTHER}, [OTHER]),
        ({"ModalitiesInStudy": "MR"}, [STUDY]),
        ({"ModalitiesInStudy": "C?"}, [STUDY, OTHER]),
        ({"Modality": "CR"}, [OTHER]),
        ({"SeriesInstanceUID": "2.25.1.2"}, [STUDY]),
        ({"PatientID": "subject-7", "Modality": "CR"}, []),
    ],
)
def test_studies_are_found_by_their_keys(
    index: Index, keys: dict[str, str], found: list[str]
) -> None:
    assert studies(index, **keys) == found


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ({"SOPInstanceUID": "2.25.1.1.3"}, ["2.25.1.1.3"]),
        ({"SOPInstanceUID": "2.25.1.1.3", "StudyInstanceUID": OTHER}, []),
        ({"StudyInstanceUID": STUDY, "InstanceNumber": "2"}, ["2.25.1.1.2"]),
        ({"SeriesInstanceUID": "2.25.1.2"}, ["2.25.1.2.4"]),
        ({"Modality": "M*"}, ["2.25.1.2.4"]),
        ({"SOPClassUID": "1.2.3"}, []),
        ({"PatientID": "subject-[8]*"}, ["2.25.2.1.1"]),
    ],
)
def test_instances_are_found_by_their_keys(
    index: Index, keys: dict[str, str], found: list[str]
) -> None:
    assert instances(index, **keys) == found


def test_several_values_match_any_of_them(index: Index) -> None:
    keys = {"StudyInstanceUID": (STUDY, OTHER, "2.25.3")}
    assert len(index.find_studies(keys, 10)) == 2
    assert len(index.find_series({"Modality": ("CR", "MR")}, 10)) == 2


def test_pages_follow_one_another(index: Index) -> None:
    whole = index.find_instances({}, 10)
    assert len(whole) == 5
    assert (*index.find_instances({}, 2), *index.find_instances({}, 9, 2)) == whole
    assert index.find_instances({}, 10, 5) == ()


def test_what_is_gone_is_not_found(index: Index, catalogue: Catalogue, folders: Folders) -> None:
    folders.dicom_file(STUDY, "2.25.1.2", "2.25.1.2.4").unlink()
    catalogue.write(lambda c: c.execute("UPDATE instances SET file = 'missing' WHERE frames = 2"))
    assert len(index.find_series({}, 10)) == 2
    catalogue.write(lambda c: c.execute("UPDATE instances SET file = 'expired' WHERE study = 1"))
    assert studies(index) == [OTHER]
    assert instances(index) == ["2.25.2.1.1"]


def test_pictures_in_order(index: Index, folders: Folders) -> None:
    pictures = index.find_pictures(folders, STUDY)
    assert [(one.instance, one.frame) for one in pictures] == [
        ("2.25.1.1.1", 1),
        ("2.25.1.1.2", 1),
        ("2.25.1.1.3", 1),
        ("2.25.1.2.4", 1),
        ("2.25.1.2.4", 2),
    ]
    assert all(one.file.is_file() for one in pictures)
    assert index.find_pictures(folders, STUDY, "2.25.1.2") == pictures[3:]
    assert index.find_pictures(folders, STUDY, "2.25.1.1", "2.25.1.1.2") == pictures[1:2]
    assert index.find_pictures(folders, OTHER) == ()
    assert index.find_pictures(folders, OTHER, "2.25.1.1", "2.25.1.1.2") == ()


def test_a_key_of_another_level_is_refused(index: Index) -> None:
    with pytest.raises(ValueError, match="InstanceNumber is no key at study level"):
        index.find_studies({"InstanceNumber": ("1",)}, 10)


@given(
    st.sampled_from(("study", "series", "instance")).flatmap(
        lambda level: st.tuples(
            st.just(level),
            st.dictionaries(
                st.sampled_from(sorted(KEYS[level])), st.lists(st.text(), min_size=1, max_size=3)
            ),
        )
    )
)
def test_any_keys_make_a_statement(case: tuple[Level, Keys]) -> None:
    level, keys = case
    statement, values = query(level, keys)
    assert statement.count("?") == len(values) + 2
    assert not any(value in statement for value in values if len(value) > 12)


PLANS: list[tuple[Level, tuple[str, ...]]] = [
    ("study", ("StudyInstanceUID",)),
    ("study", ("PatientID",)),
    ("study", ("ModalitiesInStudy",)),
    ("study", ("SeriesInstanceUID",)),
    ("series", ("StudyInstanceUID",)),
    ("series", ("SeriesInstanceUID",)),
    ("series", ("PatientID",)),
    ("series", ("Modality",)),
    ("instance", ("StudyInstanceUID",)),
    ("instance", ("StudyInstanceUID", "SeriesInstanceUID")),
    ("instance", ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")),
    ("instance", ("SeriesInstanceUID",)),
    ("instance", ("SOPInstanceUID",)),
    ("instance", ("PatientID",)),
    ("instance", ("Modality",)),
]


@pytest.mark.parametrize(("level", "keys"), PLANS)
def test_no_search_reads_all(folders: Folders, index: Index, level: Level, keys: Keys) -> None:
    statement, values = query(level, dict.fromkeys(keys, ("1.2",)))
    with closing(sqlite3.connect(folders.catalogue)) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", (*values, 10, 0)).fetchall()
    assert not [step for *_, step in plan if step.startswith("SCAN")], plan


def test_pictures_are_found_without_reading_all(folders: Folders, index: Index) -> None:
    seen: list[str] = []
    index.find_pictures(folders, STUDY)
    connection = index._idle[0]
    connection.set_trace_callback(seen.append)
    index.find_pictures(folders, STUDY, "2.25.1.1", "2.25.1.1.1")
    connection.set_trace_callback(None)
    (select,) = (one for one in seen if one.startswith("SELECT"))
    plan = connection.execute(f"EXPLAIN QUERY PLAN {select}").fetchall()
    assert not [step for *_, step in plan if step.startswith("SCAN")]
