"""Whatever the crash left: afterwards files and rows agree, and nothing is lost that was held."""

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    RLELossless,
    XRayRadiationDoseSRStorage,
)

from appliance.archive import header
from appliance.archive.catalogue import Catalogue, CatalogueCorrupt, CatalogueFailed, RenderOutcome
from appliance.archive.files import Folders, PendingFile
from appliance.archive.header import NotOurs, read_instance
from appliance.archive.recovery import Report, open_catalogue, open_recovered, recover
from appliance.archive.requests import Requests
from tests.unit.archive.material import (
    REMOTE,
    SERIES,
    STUDY,
    arrive,
    dicom_file,
    draw,
    files_below,
    instance,
    picture,
    render_all,
)
from tests.unit.archive.test_catalogue import kept, recounted


@pytest.fixture
def archive(folders: Folders) -> Iterator[Callable[[], Catalogue]]:
    """Opens the archive (again), recovered."""
    opened: list[Catalogue] = []

    def reopen() -> Catalogue:
        for catalogue in opened:
            catalogue.close()
        opened.append(open_recovered(folders))
        return opened[-1]

    yield reopen
    for catalogue in opened:
        catalogue.close()


def dicom_path(folders: Folders, number: int) -> Path:
    return folders.dicom_file(STUDY, SERIES, instance(number).instance)


def picture_path(folders: Folders, number: int, frame: int | None = None) -> Path:
    return folders.picture(STUDY, SERIES, instance(number).instance, frame, ".jpg")


def states(catalogue: Catalogue) -> dict[str, tuple[str, str]]:
    """State of file and picture by the last number of each instance."""
    return {
        row.instance.rpartition(".")[2]: (row.file, row.picture)
        for row in catalogue.instances(STUDY)
    }


# -- nothing to do


def test_an_orderly_archive_is_left_alone(
    folders: Folders, archive: Callable[[], Catalogue], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = archive()
    catalogue.list_study(STUDY, REMOTE, [instance(n).instance for n in range(4)])
    for number in range(4):
        arrive(catalogue, folders, instance(number, frames=2 if number == 3 else 1))
    *single, multi = catalogue.next_renders(9)
    catalogue.finish_renders([draw(folders, job) for job in single[1:]])
    catalogue.finish_renders([draw(folders, single[0], drop_dicom=True)])
    catalogue.finish_renders([draw(folders, multi, frames=2)])
    arrive(catalogue, folders, instance(4))
    before = files_below(folders.dicom) | files_below(folders.images)
    monkeypatch.setattr(header, "dcmread", lambda *_, **__: pytest.fail("a file was read"))
    catalogue = archive()
    assert recover(folders, catalogue) == Report()
    assert files_below(folders.dicom) | files_below(folders.images) == before
    assert len(catalogue.next_renders(9)) == 1
    assert catalogue.status().events == ()


def test_an_empty_archive_is_recovered(folders: Folders, catalogue: Catalogue) -> None:
    assert recover(folders, catalogue) == Report()


# -- files


def test_half_files_go(folders: Folders, archive: Callable[[], Catalogue]) -> None:
    catalogue = archive()
    arrive(catalogue, folders, instance(1))
    for path in (dicom_path(folders, 1), dicom_path(folders, 2), picture_path(folders, 1)):
        PendingFile.create(path).write([b"half"])
    PendingFile.create(folders.data / "key").write([b"half"])
    PendingFile.create(folders.dicom / "key").write([b"half"])
    done = recover(folders, catalogue)
    assert done == Report(temporaries=5)
    assert [path for path in folders.data.rglob("*") if path.name.endswith(".part")] == []


def test_a_file_without_a_row_is_adopted(
    folders: Folders, archive: Callable[[], Catalogue]
) -> None:
    """The crash came between the file's name and its row."""
    catalogue = archive()
    with PendingFile.create(dicom_path(folders, 1)) as pending:
        pending.write([dicom_file(instance(1))])
        pending.settle()
    assert recover(folders, catalogue) == Report(adopted=1)
    assert catalogue.held(STUDY) == {instance(1).instance}
    (job,) = catalogue.next_renders(9)
    assert job.bytes == dicom_path(folders, 1).stat().st_size
    assert recover(folders, catalogue) == Report()


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 2000, b"DICM", dicom_file(instance(2)), dicom_file(instance(1))[:200]],
    ids=["empty", "zeros", "text", "another instance", "cut short"],
)
def test_a_file_that_makes_no_sense_is_kept_apart(
    folders: Folders, archive: Callable[[], Catalogue], content: bytes
) -> None:
    catalogue = archive()
    dicom_path(folders, 1).parent.mkdir(parents=True)
    dicom_path(folders, 1).write_bytes(content)
    assert recover(folders, catalogue) == Report(quarantined=1)
    aside = folders.quarantine / dicom_path(folders, 1).relative_to(folders.data)
    assert aside.read_bytes() == content
    assert aside.parent.stat().st_mode & 0o007 == 0, "nobody knows what is in it"
    assert catalogue.held(STUDY) == frozenset()
    assert list(folders.dicom.iterdir()) == []
    assert "quarantine: 1" in catalogue.status().events[0].text
    dicom_path(folders, 1).parent.mkdir(parents=True)
    dicom_path(folders, 1).write_bytes(content)
    recover(folders, catalogue)
    assert len(files_below(folders.quarantine)) == 2, "the second does not replace the first"


def test_what_is_not_ours_is_kept_apart(
    folders: Folders, archive: Callable[[], Catalogue], tmp_path: Path
) -> None:
    catalogue = archive()
    arrive(catalogue, folders, instance(1))
    render_all(catalogue, folders)
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    strange = [
        folders.dicom / "notes.txt",
        folders.dicom / STUDY / "notes.txt",
        dicom_path(folders, 1).with_name("notes.txt"),
        dicom_path(folders, 1).with_name("x.dcm"),
        picture_path(folders, 1).with_name("holiday.jpg"),
        picture_path(folders, 1).with_suffix(".gif"),
    ]
    for path in strange:
        path.write_bytes(b"?")
    dicom_path(folders, 5).symlink_to(outside)
    (folders.images / "not a uid").mkdir()
    assert recover(folders, catalogue).quarantined == len(strange) + 2
    assert outside.read_bytes() == b"precious"
    assert files_below(folders.dicom) == {f"{STUDY}/{SERIES}/{instance(1).instance}.dcm"}
    assert files_below(folders.images) == {f"{STUDY}/{SERIES}/{instance(1).instance}.jpg"}
    assert "notes" not in catalogue.status().events[0].text, "a name may say who it is"


def test_a_newer_file_whose_row_was_not_committed_is_the_truth(
    folders: Folders, archive: Callable[[], Catalogue]
) -> None:
    catalogue = archive()
    arrive(catalogue, folders, instance(1))
    render_all(catalogue, folders)
    newer = dicom_file(instance(1, patient="a longer pseudonym"))
    dicom_path(folders, 1).write_bytes(newer)
    assert recover(folders, catalogue).adopted == 1
    (job,) = catalogue.next_renders(9)
    assert job.bytes == len(newer)
    assert catalogue.status().instances == 1
    render_all(catalogue, folders)
    assert recover(folders, catalogue) == Report()


# -- rows


def test_a_row_whose_file_is_gone_is_missing(
    folders: Folders, archive: Callable[[], Catalogue]
) -> None:
    catalogue = archive()
    uids = [instance(number).instance for number in (1, 2)]
    catalogue.list_study(STUDY, REMOTE, uids)
    for number in (1, 2):
        arrive(catalogue, folders, instance(number))
    render_all(catalogue, folders)
    dicom_path(folders, 1).unlink()
    catalogue = archive()
    assert catalogue.held(STUDY) == {uids[1]}
    assert catalogue.list_study(STUDY, REMOTE, uids) == {uids[0]}
    assert states(catalogue) == {"1": ("missing", "rendered"), "2": ("held", "rendered")}
    assert catalogue.status().events[0].severity == "warning"
    assert recover(folders, catalogue) == Report()
    arrive(catalogue, folders, instance(1))
    assert states(catalogue)["1"] == ("held", "queued")


def test_a_missing_file_that_is_there_again_is_adopted(
    folders: Folders, archive: Callable[[], Catalogue]
) -> None:
    catalogue = archive()
    stored = arrive(catalogue, folders, instance(1))
    dicom_path(folders, 1).unlink()
    recover(folders, catalogue)
    assert catalogue.held(STUDY) == frozenset()
    dicom_path(folders, 1).parent.mkdir(parents=True)
    dicom_path(folders, 1).write_bytes(dicom_file(stored))
    assert recover(folders, catalogue).adopted == 1
    assert catalogue.held(STUDY) == {stored.instance}


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_lost_picture_is_made_again(
    folders: Folders, archive: Callable[[], Catalogue], damage: Callable[[Path], object]
) -> None:
    catalogue = archive()
    arrive(catalogue, folders, instance(1))
    arrive(catalogue, folders, instance(2, frames=3))
    one, two = catalogue.next_renders(9)
    catalogue.finish_renders([draw(folders, one), draw(folders, two, frames=3)])
    damage(picture_path(folders, 2, 2))
    assert recover(folders, catalogue) == Report(queued=1)
    assert [job.instance for job in catalogue.next_renders(9)] == [two.instance]
    render_all(catalogue, folders, frames=3)
    assert recover(folders, catalogue) == Report()


def test_an_empty_picture_is_none(folders: Folders, archive: Callable[[], Catalogue]) -> None:
    catalogue = archive()
    arrive(catalogue, folders, instance(1))
    (job,) = catalogue.next_renders(9)
    made = draw(folders, job)
    picture_path(folders, 1).write_bytes(b"")
    empty = replace(made.pictures[0], bytes=0)
    catalogue.finish_renders([replace(made, pictures=(empty,))])
    assert recover(folders, catalogue) == Report(queued=1)


def test_a_lost_picture_of_a_dropped_file_is_fetched_again(
    folders: Folders, archive: Callable[[], Catalogue]
) -> None:
    catalogue = archive()
    for number in (1, 2):
        arrive(catalogue, folders, instance(number))
    render_all(catalogue, folders, drop_dicom=True)
    assert files_below(folders.dicom) == set()
    picture_path(folders, 1).unlink()
    assert recover(folders, catalogue) == Report(missing=1)
    assert catalogue.held(STUDY) == {instance(2).instance}
    arrive(catalogue, folders, instance(1))
    render_all(catalogue, folders, drop_dicom=True)
    assert recover(folders, catalogue) == Report()
    assert recounted(folders.catalogue) == kept(folders.catalogue)


def test_a_crash_before_the_file_was_dropped_is_completed(
    folders: Folders, archive: Callable[[], Catalogue], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = archive()
    arrive(catalogue, folders, instance(1))
    with monkeypatch.context() as crash:
        crash.setattr(catalogue._rows, "remove", lambda *_: None)
        render_all(catalogue, folders, drop_dicom=True)
    assert dicom_path(folders, 1).exists()
    assert recover(folders, catalogue) == Report(removed=1)
    assert files_below(folders.dicom) == set()
    assert states(catalogue) == {"1": ("dropped", "rendered")}


def test_a_file_to_be_dropped_whose_picture_is_gone_is_kept(
    folders: Folders, archive: Callable[[], Catalogue], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = archive()
    arrive(catalogue, folders, instance(1))
    with monkeypatch.context() as crash:
        crash.setattr(catalogue._rows, "remove", lambda *_: None)
        render_all(catalogue, folders, drop_dicom=True)
    picture_path(folders, 1).unlink()
    assert recover(folders, catalogue) == Report(adopted=1)
    assert states(catalogue) == {"1": ("held", "queued")}


def test_a_crash_during_expiry_is_completed(
    folders: Folders, archive: Callable[[], Catalogue], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = archive()
    for number in (1, 2):
        arrive(catalogue, folders, instance(number))
    render_all(catalogue, folders)
    with monkeypatch.context() as crash:
        crash.setattr(catalogue._rows, "remove_study", lambda *_: None)
        catalogue.expire(STUDY)
    assert recover(folders, catalogue) == Report(removed=4)
    assert files_below(folders.dicom) == files_below(folders.images) == set()
    assert list(folders.dicom.iterdir()) == list(folders.images.iterdir()) == []
    assert len(catalogue.held(STUDY)) == 2
    assert recover(folders, catalogue) == Report()


def test_pictures_that_no_row_claims_go(folders: Folders, archive: Callable[[], Catalogue]) -> None:
    """Another format was set meanwhile; an instance turned out to have no picture."""
    catalogue = archive()
    for number in (1, 2, 3):
        arrive(catalogue, folders, instance(number))
    one, two, _ = catalogue.next_renders(9)
    catalogue.finish_renders([draw(folders, one), RenderOutcome(two, "none", "nothing to show")])
    for path in (picture_path(folders, 1).with_suffix(".png"), picture_path(folders, 2)):
        path.write_bytes(b"old")
    picture_path(folders, 3).write_bytes(b"to be made over")
    assert recover(folders, catalogue) == Report(removed=2)
    names = {f"{STUDY}/{SERIES}/{instance(number).instance}.jpg" for number in (1, 3)}
    assert files_below(folders.images) == names


def test_folders_without_files_go(folders: Folders, archive: Callable[[], Catalogue]) -> None:
    catalogue = archive()
    arrive(catalogue, folders, instance(1))
    for folder in (folders.dicom / "2.25.8" / "1.2", folders.images / "2.25.9"):
        folder.mkdir(parents=True)
    recover(folders, catalogue)
    assert [path.name for path in folders.dicom.iterdir()] == [STUDY]
    assert list(folders.images.iterdir()) == []


def test_progress_is_told_by_study(folders: Folders, catalogue: Catalogue) -> None:
    for study in ("2.25.1", "2.25.2", "2.25.3"):
        arrive(catalogue, folders, instance(1, study=study))
    told: list[tuple[int, int]] = []
    recover(folders, catalogue, lambda done, of: told.append((done, of)))
    assert told == [(1, 3), (2, 3), (3, 3)]


# -- reading files


@pytest.mark.parametrize(
    "described",
    [
        instance(1),
        instance(1, transfer_syntax=ExplicitVRLittleEndian, modality="MR", patient=None),
        instance(1, transfer_syntax=DeflatedExplicitVRLittleEndian),
        instance(1, transfer_syntax=DeflatedExplicitVRLittleEndian, has_pixels=False),
        instance(1, frames=12, instance_number=None),
        instance(1, sop_class=XRayRadiationDoseSRStorage, modality="SR", has_pixels=False),
    ],
)
def test_a_file_says_what_its_row_said(tmp_path: Path, described) -> None:
    content = dicom_file(described)
    path = tmp_path / "x.dcm"
    path.write_bytes(content)
    found = read_instance(path, described.study, described.series, described.instance)
    assert found == replace(described, bytes=len(content), remote=None)


@pytest.mark.filterwarnings("ignore:Invalid value for VR IS")
def test_a_row_of_an_unreadable_number_is_still_one(tmp_path: Path) -> None:
    content = dicom_file(instance(1, transfer_syntax=ExplicitVRLittleEndian, instance_number=77))
    path = tmp_path / "x.dcm"
    path.write_bytes(content.replace(b"IS\x02\x0077", b"IS\x02\x00x!"))
    found = read_instance(path, STUDY, SERIES, instance(1).instance)
    assert found.instance_number is None


def test_a_file_without_uids_is_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "x.dcm"
    path.write_bytes(dicom_file(instance(1)).replace(SERIES.encode(), b"9.99.9.9"))
    with pytest.raises(NotOurs, match="not those of its name"):
        read_instance(path, STUDY, SERIES, instance(1).instance)


# -- rebuilding


def rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Everything in the catalogue that files can tell."""
    connection = sqlite3.connect(path)
    try:
        return {
            "instances": connection.execute(
                "SELECT studies.uid, patient, series.uid, modality, instances.uid, sop_class,"
                " transfer_syntax, number, frames, rows, columns, bits_allocated,"
                " instances.bytes, file, picture, reason"
                " FROM instances JOIN series ON series.id = instances.series"
                " JOIN studies ON studies.id = instances.study ORDER BY studies.uid, instances.uid"
            ).fetchall(),
            "pictures": connection.execute(
                "SELECT uid, frame, suffix, width, height, pictures.bytes"
                " FROM pictures JOIN instances ON instances.id = pictures.instance"
                " ORDER BY uid, frame"
            ).fetchall(),
        }
    finally:
        connection.close()


def fill(catalogue: Catalogue, folders: Folders) -> None:
    """Several studies, series and kinds; rendered, but for one."""
    for study in ("2.25.1", "2.25.2"):
        for series in ("1", "2"):
            for number in range(3):
                uid = f"{study}.{series}.{number}"
                described = instance(
                    number, study=study, series=f"{study}.{series}", instance=uid, patient=study
                )
                arrive(catalogue, folders, described)
    render_all(catalogue, folders)
    arrive(catalogue, folders, instance(50, frames=3))
    render_all(catalogue, folders, frames=3, suffix=".png")
    arrive(catalogue, folders, instance(60, transfer_syntax=RLELossless, has_pixels=False))
    arrive(catalogue, folders, instance(70))


def test_a_rebuilt_catalogue_equals_the_lost_one(
    folders: Folders, archive: Callable[[], Catalogue], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.archive.recovery._BATCH", 5)
    catalogue = archive()
    fill(catalogue, folders)
    catalogue.close()
    before = rows(folders.catalogue)
    for path in folders.data.glob("catalogue.sqlite*"):
        path.unlink()
    catalogue = archive()
    assert rows(folders.catalogue) == before
    assert catalogue.status().events[0].text == "instances registered: 15"
    assert [job.instance for job in catalogue.next_renders(9)] == [instance(70).instance]
    assert recounted(folders.catalogue) == kept(folders.catalogue)
    assert recover(folders, catalogue) == Report()
    mtime = dicom_path(folders, 70).stat().st_mtime
    connection = sqlite3.connect(folders.catalogue)
    (stored_at,) = connection.execute(
        "SELECT stored_at FROM instances WHERE uid = ?", (instance(70).instance,)
    ).fetchone()
    connection.close()
    assert stored_at == pytest.approx(mtime, abs=1e-3), "or retention would begin anew"


def test_a_catalogue_is_rebuilt_from_pictures_alone(
    folders: Folders, archive: Callable[[], Catalogue]
) -> None:
    catalogue = archive()
    arrive(catalogue, folders, instance(1))
    arrive(catalogue, folders, instance(2, frames=3))
    one, two = catalogue.next_renders(9)
    catalogue.finish_renders(
        [draw(folders, one, drop_dicom=True), draw(folders, two, frames=3, drop_dicom=True)]
    )
    catalogue.close()
    before = rows(folders.catalogue)["pictures"]
    folders.catalogue.unlink()
    half = folders.picture(STUDY, SERIES, instance(3).instance, 2, ".jpg")
    half.write_bytes(picture(".jpg", 5, 3))
    catalogue = archive()
    assert states(catalogue) == {"1": ("dropped", "rendered"), "2": ("dropped", "rendered")}
    assert rows(folders.catalogue)["pictures"] == before
    assert half.relative_to(folders.data).as_posix() in files_below(folders.quarantine), (
        "frame 2 without frame 1 is no set"
    )
    assert recover(folders, catalogue) == Report()


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
@pytest.mark.parametrize("drop", [True, False])
def test_an_animation_is_told_from_the_frames(
    folders: Folders, archive: Callable[[], Catalogue], suffix: str, drop: bool
) -> None:
    catalogue = archive()
    arrive(catalogue, folders, instance(1, frames=3))
    arrive(catalogue, folders, instance(2))
    three, one = catalogue.next_renders(9)
    catalogue.finish_renders(
        [
            draw(folders, three, frames=3, suffix=suffix, drop_dicom=drop, animated=True),
            draw(folders, one, suffix=suffix, drop_dicom=drop),
        ]
    )
    catalogue.close()
    before = rows(folders.catalogue)["pictures"]
    assert len(before) == 5
    folders.catalogue.unlink()
    catalogue = archive()
    file = "dropped" if drop else "held"
    assert states(catalogue) == {"1": (file, "rendered"), "2": (file, "rendered")}
    assert rows(folders.catalogue)["pictures"] == before
    assert recover(folders, catalogue) == Report()


def test_a_lost_animation_is_made_again(folders: Folders, archive: Callable[[], Catalogue]) -> None:
    catalogue = archive()
    arrive(catalogue, folders, instance(1, frames=2))
    render_all(catalogue, folders, frames=2, animated=True)
    catalogue.close()
    folders.picture(STUDY, SERIES, instance(1).instance, None, ".webp").unlink()
    assert states(archive()) == {"1": ("held", "queued")}


def test_pictures_older_than_their_file_are_not_believed(
    folders: Folders, archive: Callable[[], Catalogue]
) -> None:
    catalogue = archive()
    for number in (1, 2, 3):
        arrive(catalogue, folders, instance(number))
    render_all(catalogue, folders)
    catalogue.close()
    folders.catalogue.unlink()
    os.utime(picture_path(folders, 1), ns=(1, 1))
    picture_path(folders, 2).write_bytes(b"no picture")
    catalogue = archive()
    assert [job.instance for job in catalogue.next_renders(9)] == [
        instance(number).instance for number in (1, 2)
    ]


def test_frames_are_told_from_instances_that_end_alike(
    folders: Folders, archive: Callable[[], Catalogue]
) -> None:
    """`2.25.5.1000.jpg`: the only frame of 2.25.5.1000, or frame 1000 of 2.25.5?"""
    catalogue = archive()
    arrive(catalogue, folders, instance(1, instance="2.25.5.1000"))
    render_all(catalogue, folders)
    catalogue.close()
    before = rows(folders.catalogue)
    folders.catalogue.unlink()
    archive()
    assert rows(folders.catalogue) == before


@pytest.mark.parametrize("uid", ["2.25.5.1000", "2.25.240975184010339930317865244931821792379"])
def test_a_picture_alone_is_told_from_a_frame(
    folders: Folders, archive: Callable[[], Catalogue], uid: str
) -> None:
    """UIDs that de-identification makes end in many digits, and are no frame of "2.25"."""
    catalogue = archive()
    arrive(catalogue, folders, instance(1, instance=uid))
    catalogue.finish_renders(
        [draw(folders, job, drop_dicom=True) for job in catalogue.next_renders(9)]
    )
    catalogue.close()
    before = rows(folders.catalogue)["pictures"]
    folders.catalogue.unlink()
    catalogue = archive()
    assert [(row.instance, row.file) for row in catalogue.instances(STUDY)] == [(uid, "dropped")]
    assert rows(folders.catalogue)["pictures"] == before


# -- damage


@pytest.mark.parametrize("damage", ["text", "pages", "header"])
def test_a_damaged_catalogue_is_set_aside_and_rebuilt(
    folders: Folders, archive: Callable[[], Catalogue], damage: str
) -> None:
    catalogue = archive()
    fill(catalogue, folders)
    catalogue.close()
    before = rows(folders.catalogue)
    with sqlite3.connect(folders.catalogue) as connection:
        connection.execute("UPDATE process SET closed_at = NULL")  # As a crash leaves it.
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    data = bytearray(folders.catalogue.read_bytes())
    match damage:
        case "text":
            data = bytearray(b"not a database at all\n" * 500)
        case "pages":
            data[4096 * 5 : 4096 * 12] = os.urandom(4096 * 7)
        case "header":
            data[:100] = bytes(100)
    folders.catalogue.write_bytes(data)
    with pytest.raises(CatalogueCorrupt):
        Catalogue.open(folders.catalogue)
    catalogue = archive()
    assert rows(folders.catalogue) == before
    events = catalogue.status().events
    assert [event.subject for event in events] == ["recovery", "catalogue"]
    assert events[1].severity == "error"
    aside = list(folders.data.glob("catalogue-*.unsound"))
    assert [path.read_bytes()[:50] for path in aside] == [bytes(data[:50])]


@pytest.mark.parametrize("table", ["process", "instances", "studies", "events", "listed"])
def test_damage_after_an_orderly_end_is_found_and_mended(
    folders: Folders, archive: Callable[[], Catalogue], table: str
) -> None:
    """Nothing is checked then, so it is met by whoever reads or writes there first."""
    catalogue = archive()
    fill(catalogue, folders)
    catalogue.close()
    before = rows(folders.catalogue)
    with closing(sqlite3.connect(folders.catalogue)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)
        ).fetchone()
    with folders.catalogue.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xa5" * 4096)
    catalogue = archive()
    try:
        catalogue.status()
        catalogue.list_study(STUDY, REMOTE, ["2.25.1.1.0"])
    except CatalogueCorrupt:
        assert not catalogue.alive, "the watchdog has the AE started again"
        catalogue.close()
        catalogue = archive()
        catalogue.status()
    assert rows(folders.catalogue) == before
    assert len(list(folders.data.glob("catalogue-*.unsound"))) == 1


@pytest.mark.parametrize("suffix", [".dcm", ".jpg"])
def test_one_file_that_the_disk_lost_does_not_keep_the_others(
    folders: Folders,
    archive: Callable[[], Catalogue],
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
) -> None:
    catalogue = archive()
    fill(catalogue, folders)
    held = catalogue.status().instances
    catalogue.close()
    folders.catalogue.unlink()
    bad = next(path for path in sorted(folders.data.rglob(f"*{suffix}")))
    really = Path.open

    def lost(path: Path, *arguments: Any, **options: Any) -> Any:
        if path == bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return really(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", lost)
    catalogue = archive()
    assert catalogue.status().instances == held - (suffix == ".dcm")
    assert (folders.quarantine / bad.relative_to(folders.data)).exists() == (suffix == ".dcm")


def test_only_the_latest_damaged_catalogues_are_kept(folders: Folders) -> None:
    for day in range(6):
        folders.catalogue.write_bytes(b"no database" * 100)
        open_catalogue(folders, lambda day=day: 86_400.0 * day).close()
    names = {path.name.partition(".")[0] for path in folders.data.glob("catalogue-*")}
    assert names == {f"catalogue-1970010{day}T000000Z" for day in (4, 5, 6)}


def test_what_is_no_damage_sets_nothing_aside(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk while opening must not cost the catalogue, nor keep the box from starting."""
    Catalogue.open(folders.catalogue).close()

    def full(*_: object) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("appliance.archive.rows.begin_process", full)
        catalogue = open_recovered(folders)
        with pytest.raises(CatalogueFailed, match="full"):
            catalogue.event("info", "box", "started")
    catalogue.event("info", "box", "there is room again")
    catalogue.close()
    assert list(folders.data.glob("catalogue-*")) == []
    open_recovered(folders).close()


def test_damaged_requests_are_replaced_and_not_kept(
    folders: Folders, archive: Callable[[], Catalogue]
) -> None:
    folders.requests.write_bytes(b"YAMADA" * 1000)
    catalogue = archive()
    Requests.open(folders.requests).close()
    assert catalogue.status().events[0].subject == "requests"
    left = b"".join(p.read_bytes() for p in folders.data.iterdir() if p.is_file())
    assert b"YAMADA" not in left


def test_sound_requests_are_left_alone(folders: Folders, archive: Callable[[], Catalogue]) -> None:
    requests = Requests.open(folders.requests)
    id = requests.ask_fetch("pacs", study="1.2")
    archive()
    assert [request.id for request in requests.pending()] == [id]
    requests.close()
