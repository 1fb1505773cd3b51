"""What files say of their studies and series: read once, kept, and never more than is on disk."""

import io
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from appliance.archive.catalogue import Catalogue, RenderOutcome
from appliance.archive.files import Folders
from appliance.archive.header import read_attributes
from appliance.archive.index import Index, StudyEntry
from appliance.images.deidentify import Deidentifier, deidentify_file
from tests.unit.archive.material import STUDY, arrive, dicom_file, draw, instance, render_all

ABOUT = {
    "StudyDate": "20240229",
    "AccessionNumber": "A-7",
    "StudyDescription": "Thorax",
    "SeriesNumber": 3,
}


def studies(folders: Folders) -> tuple[StudyEntry, ...]:
    with closing(Index.of_file(folders.catalogue)) as index:
        return index.find_studies({}, 100)


def test_a_study_is_described_with_its_first_picture(
    catalogue: Catalogue, folders: Folders
) -> None:
    for number in (1, 2):
        arrive(catalogue, folders, instance(number), dicom_file(instance(number), **ABOUT))
    assert studies(folders)[0].attributes.date == "", "reception does not wait for that"
    render_all(catalogue, folders, drop_dicom=True)
    (study,) = studies(folders)
    assert (study.attributes.date, study.attributes.accession) == ("20240229", "A-7")
    with closing(Index.of_file(folders.catalogue)) as index:
        (series,) = index.find_series({}, 10)
    assert series.attributes.number == 3
    assert catalogue.describe_series(10) == 0


def test_what_a_file_said_first_holds(catalogue: Catalogue, folders: Folders) -> None:
    arrive(catalogue, folders, instance(1), dicom_file(instance(1), **ABOUT))
    render_all(catalogue, folders)
    other = instance(1, series="2.25.1.9", instance="2.25.1.9.1")
    arrive(catalogue, folders, other, dicom_file(other, StudyDate="19990101", SeriesNumber=4))
    render_all(catalogue, folders)
    assert studies(folders)[0].attributes.date == "20240229"


def test_series_of_an_earlier_version_are_described_in_steps(
    catalogue: Catalogue, folders: Folders
) -> None:
    for series in range(3):
        one = instance(1, series=f"2.25.1.{series}", instance=f"2.25.1.{series}.1")
        arrive(catalogue, folders, one, dicom_file(one, **ABOUT))
    assert [catalogue.describe_series(2) for _ in range(3)] == [2, 1, 0]
    assert studies(folders)[0].attributes.description == "Thorax"


@pytest.mark.parametrize(
    ("stored", "asked", "is_found"),
    [
        ("10", "1000-1100", True),
        ("10", "1000-", True),
        ("10", "1001-1100", False),
        ("1059", "10-10", True),
        ("105959.9", "-105959", True),
        ("110000", "10-1059", False),
        ("", "-1100", False),
    ],
)
def test_a_time_that_says_the_hour_alone_begins_when_that_does(
    catalogue: Catalogue, folders: Folders, stored: str, asked: str, is_found: bool
) -> None:
    said = dicom_file(instance(1), StudyTime=stored, StudyID="S1")
    arrive(catalogue, folders, instance(1), said)
    catalogue.describe_series(1)
    with closing(Index.of_file(folders.catalogue)) as index:
        assert len(index.find_studies({"StudyTime": (asked,)}, 10)) == is_found


def test_a_sound_file_has_the_word_that_a_damaged_one_lost(
    catalogue: Catalogue, folders: Folders
) -> None:
    arrive(catalogue, folders, instance(1), b"no DICOM")
    assert catalogue.describe_series(10) == 1
    arrive(catalogue, folders, instance(1), dicom_file(instance(1), **ABOUT))
    render_all(catalogue, folders)
    (study,) = studies(folders)
    assert study.attributes.date == "20240229"
    with closing(Index.of_file(folders.catalogue)) as index:
        (series,) = index.find_series({}, 10)
    assert series.attributes.number == 3


def test_a_damaged_series_does_not_speak_for_its_study(
    catalogue: Catalogue, folders: Folders
) -> None:
    arrive(catalogue, folders, instance(1), b"no DICOM")
    other = instance(1, series="2.25.1.9", instance="2.25.1.9.1")
    arrive(catalogue, folders, other, dicom_file(other, **ABOUT))
    assert catalogue.describe_series(10) == 2
    assert studies(folders)[0].attributes.date == "20240229"


def test_a_file_that_goes_before_its_picture_is_described_when_it_is_back(
    catalogue: Catalogue, folders: Folders
) -> None:
    arrive(catalogue, folders, instance(1), dicom_file(instance(1), **ABOUT))
    (job,) = catalogue.next_renders(10)
    folders.dicom_file(job.study, job.series, job.instance).unlink()
    catalogue.finish_renders([RenderOutcome(job, "failed", "It is gone.")])
    arrive(catalogue, folders, instance(1), dicom_file(instance(1), **ABOUT))
    render_all(catalogue, folders)
    assert studies(folders)[0].attributes.date == "20240229"


@pytest.mark.parametrize("content", [b"no DICOM", None], ids=["damaged", "gone"])
def test_a_file_that_cannot_be_read_is_not_tried_again(
    catalogue: Catalogue, folders: Folders, content: bytes | None
) -> None:
    arrive(catalogue, folders, instance(1), content or b"x")
    if content is None:
        folders.dicom_file(STUDY, instance(1).series, instance(1).instance).unlink()
    assert [catalogue.describe_series(10) for _ in range(2)] == [1, 0]


def test_a_job_of_a_replaced_content_describes_nothing_wrong(
    catalogue: Catalogue, folders: Folders
) -> None:
    arrive(catalogue, folders, instance(1), dicom_file(instance(1), **ABOUT))
    (job,) = catalogue.next_renders(10)
    arrive(catalogue, folders, instance(1), dicom_file(instance(1), StudyDate="20250101"))
    catalogue.finish_renders([draw(folders, job)])
    assert studies(folders)[0].attributes.date == "20250101", "what is on disk"


@pytest.mark.parametrize("number", ["twelve", "1\\\\2", ""])
def test_strange_values_do_no_harm(tmp_path: Path, number: str) -> None:
    file = tmp_path / "file.dcm"
    several = ["20240229", "20240301"]
    whole = dicom_file(
        instance(1), **ABOUT | {"StudyDescription": "x" * 1000, "StudyDate": several}
    )
    dataset = dcmread(io.BytesIO(whole))
    dataset[Tag("SeriesNumber")] = RawDataElement(
        Tag("SeriesNumber"), "IS", len(number), number.encode(), 0, True, True
    )
    dataset.save_as(file)
    described = read_attributes(file)
    assert described is not None
    assert described.series.number is None
    assert described.study.date == ""
    assert len(described.study.description) == 256
    assert described.study.accession == "A-7"


PLANTED = {
    "PatientName": "PLANTED^NAME",
    "PatientID": "PLANTED-ID",
    "PatientBirthDate": "19770707",
    "ReferringPhysicianName": "PLANTED^PHYSICIAN",
    "AccessionNumber": "PLANTED-ACC",
    "StudyID": "PLANTED-SID",
    "StudyDescription": "PLANTED THORAX",
    "SeriesDescription": "PLANTED SERIES",
    "StudyDate": "20231123",
}


@pytest.mark.parametrize("profile", ["basic", "clear"])
def test_what_deidentification_takes_away_is_in_no_search(
    catalogue: Catalogue, folders: Folders, tmp_path: Path, profile: str
) -> None:
    """What is told is what the file on the disk says, and nothing of what was received."""
    engine = Deidentifier(profile, b"k" * 32)  # type: ignore[arg-type]
    received = instance(1)
    source = tmp_path / "received.dcm"
    source.write_bytes(dicom_file(received, **PLANTED))
    clean = deidentify_file(
        source,
        deidentifier=engine,
        implementation_class_uid="2.25.1",
        implementation_version_name="TEST",
    )
    dataset = dcmread(io.BytesIO(clean))
    mapped = replace(
        received,
        instance=str(dataset.SOPInstanceUID),
        series=str(dataset.SeriesInstanceUID),
        study=str(dataset.StudyInstanceUID),
    )
    arrive(catalogue, folders, mapped, clean)
    catalogue.describe_series(10)
    (study,) = studies(folders)
    said = str(study)
    gone = ("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber")
    for keyword in PLANTED if profile == "basic" else (*gone, "ReferringPhysicianName"):
        assert PLANTED[keyword] not in said, keyword
    if profile == "clear":
        assert study.attributes.date == PLANTED["StudyDate"]
        assert study.attributes.description == PLANTED["StudyDescription"]
