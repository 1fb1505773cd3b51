"""Presentation states and their images in the catalogue, in whatever order they arrive."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace

import pytest

from appliance.archive import schema
from appliance.archive.catalogue import (
    Catalogue,
    Presented,
    RenderJob,
    RenderOutcome,
    StoredInstance,
)
from appliance.archive.files import Folders
from appliance.archive.presentations import _WAITING
from appliance.archive.reading import QUIET
from appliance.archive.records import GREY_STATE, PRESENTATION_STATES
from tests.unit.archive.material import REMOTE, STUDY, arrive, draw, instance
from tests.unit.archive.test_catalogue import kept, recounted

IMAGE = instance(1)
STATE = instance(9, series="2.25.1.2", sop_class=GREY_STATE, modality="PR", has_pixels=False)


@pytest.fixture(autouse=True, params=PRESENTATION_STATES)
def of_each_class(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "STATE", replace(STATE, sop_class=request.param))


@pytest.fixture(autouse=True)
def sums_are_right(folders: Folders, catalogue: Catalogue) -> Iterator[None]:
    yield
    catalogue.close()
    assert kept(folders.catalogue) == recounted(folders.catalogue)


def states(catalogue: Catalogue) -> dict[str, tuple[str, str]]:
    return {row.instance: (row.file, row.picture) for row in catalogue.instances(STUDY)}


def job_of(catalogue: Catalogue, of: StoredInstance) -> RenderJob:
    (found,) = [job for job in catalogue.next_renders(99) if job.instance == of.instance]
    return found


def shown(folders: Folders, job: RenderJob, *, drop: bool = False) -> RenderOutcome:
    """The state's picture of the image, which is here."""
    drawn = draw(folders, job, frames=1, drop_dicom=drop)
    return replace(drawn, presented=(Presented(IMAGE.instance, 0, 1),))


def lacking(job: RenderJob, *, drop: bool = False) -> RenderOutcome:
    """No picture, because the image was not here."""
    nothing = (Presented(IMAGE.instance, 0, None),)
    return RenderOutcome(job, "none", "not here", drop_dicom=drop, presented=nothing)


def test_a_state_is_rendered_though_it_has_no_pixels(
    catalogue: Catalogue, folders: Folders
) -> None:
    arrive(catalogue, folders, STATE)
    catalogue.finish_renders([lacking(job_of(catalogue, STATE))])
    assert states(catalogue) == {STATE.instance: ("held", "none")}


def test_an_image_that_comes_later_queues_the_state(catalogue: Catalogue, folders: Folders) -> None:
    arrive(catalogue, folders, STATE)
    catalogue.finish_renders([lacking(job_of(catalogue, STATE))])
    arrive(catalogue, folders, instance(2))
    assert states(catalogue)[STATE.instance] == ("held", "none"), "it is for another image"
    arrive(catalogue, folders, IMAGE)
    catalogue.finish_renders([shown(folders, job_of(catalogue, STATE))])
    assert states(catalogue)[STATE.instance] == ("held", "rendered")


def test_an_image_that_comes_while_the_state_is_rendered_is_not_missed(
    catalogue: Catalogue, folders: Folders
) -> None:
    arrive(catalogue, folders, STATE)
    first = job_of(catalogue, STATE)
    arrive(catalogue, folders, IMAGE)
    catalogue.finish_renders([lacking(first)])
    again = job_of(catalogue, STATE)
    assert again.generation != first.generation
    # Now the reference is known: whatever the second rendering finds, there is no third.
    catalogue.finish_renders([lacking(again)])
    assert states(catalogue)[STATE.instance] == ("held", "none")


def test_what_was_rendered_without_a_newer_image_is_ignored(
    catalogue: Catalogue, folders: Folders
) -> None:
    arrive(catalogue, folders, STATE)
    catalogue.finish_renders([lacking(job_of(catalogue, STATE))])
    arrive(catalogue, folders, IMAGE)
    second = job_of(catalogue, STATE)
    arrive(catalogue, folders, replace(IMAGE, sop_class="1.2.840.10008.5.1.4.1.1.4"))
    catalogue.finish_renders([shown(folders, second)])
    assert states(catalogue)[STATE.instance] == ("held", "queued")


def test_it_survives_a_restart(folders: Folders, catalogue: Catalogue) -> None:
    arrive(catalogue, folders, STATE)
    catalogue.finish_renders([lacking(job_of(catalogue, STATE))])
    catalogue.close()
    again = Catalogue.open(folders.catalogue)
    arrive(again, folders, IMAGE)
    assert states(again)[STATE.instance] == ("held", "queued")
    again.close()


def test_states_wait_until_their_study_is_quiet(folders: Folders, catalogue: Catalogue) -> None:
    now = 1_000_000.0
    catalogue._clock = lambda: now
    arrive(catalogue, folders, STATE)
    arrive(catalogue, folders, IMAGE)
    assert [job.instance for job in catalogue.next_renders(9, now + QUIET / 2)] == [IMAGE.instance]
    assert len(catalogue.next_renders(9, now + 2 * QUIET)) == 2
    assert len(catalogue.next_renders(9, now - 5)) == 2, "a clock that was put back keeps nothing"


def test_images_are_not_dropped_before_their_states_are_rendered(
    folders: Folders, catalogue: Catalogue
) -> None:
    arrive(catalogue, folders, STATE)
    arrive(catalogue, folders, IMAGE)
    catalogue.finish_renders([draw(folders, job_of(catalogue, IMAGE), drop_dicom=True)])
    assert states(catalogue)[IMAGE.instance] == ("held", "rendered")
    catalogue.finish_renders([shown(folders, job_of(catalogue, STATE), drop=True)])
    assert states(catalogue) == {
        IMAGE.instance: ("dropped", "rendered"),
        STATE.instance: ("held", "rendered"),
    }
    assert not folders.dicom_file(STUDY, IMAGE.series, IMAGE.instance).exists()
    assert folders.dicom_file(STUDY, STATE.series, STATE.instance).exists()


@pytest.mark.parametrize("listed", [True, False])
def test_an_image_that_was_dropped_is_fetched_again_where_it_can_be(
    folders: Folders, catalogue: Catalogue, listed: bool
) -> None:
    if listed:
        catalogue.list_study(STUDY, REMOTE, [IMAGE.instance, STATE.instance])
    arrive(catalogue, folders, IMAGE)
    catalogue.finish_renders([draw(folders, job_of(catalogue, IMAGE), drop_dicom=True)])
    arrive(catalogue, folders, STATE)
    catalogue.finish_renders([lacking(job_of(catalogue, STATE), drop=True)])
    file = "missing" if listed else "dropped"
    assert states(catalogue)[IMAGE.instance][0] == file
    arrive(catalogue, folders, IMAGE)
    arrive(catalogue, folders, STATE)
    catalogue.finish_renders([draw(folders, job_of(catalogue, IMAGE), drop_dicom=True)])
    catalogue.finish_renders([shown(folders, job_of(catalogue, STATE), drop=True)])
    assert states(catalogue)[IMAGE.instance] == ("dropped", "rendered")
    assert catalogue.next_renders(9) == []
    assert catalogue.status().outstanding == 0


def test_a_catalogue_of_the_version_before_queues_its_states(
    folders: Folders, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue.close()
    folders.catalogue.unlink()
    before = schema.migrations("catalogue")[:1]
    later = ("rows", "columns", "bits_allocated")

    def alter(catalogue: Catalogue, change: str) -> None:
        for column in later:
            statement = f"ALTER TABLE instances {change.format(column)}"
            catalogue.write(lambda connection, text=statement: connection.execute(text))

    with monkeypatch.context() as patch:
        patch.setattr(schema, "migrations", lambda database: before)
        old = Catalogue.open(folders.catalogue)
        old.write(lambda connection: connection.execute("CREATE TABLE presented (state, image)"))
        alter(old, "ADD COLUMN {} INTEGER")
        arrive(old, folders, STATE)
        old.write(lambda connection: connection.execute("UPDATE instances SET picture = 'none'"))
        old.write(lambda connection: connection.execute("DROP TABLE presented"))
        alter(old, "DROP COLUMN {}")
        old.close()
    newer = Catalogue.open(folders.catalogue)
    assert states(newer) == {STATE.instance: ("held", "queued")}
    assert newer.status().queued == 1
    newer.close()


def test_nothing_of_an_expired_state_is_left(folders: Folders, catalogue: Catalogue) -> None:
    arrive(catalogue, folders, STATE)
    arrive(catalogue, folders, IMAGE)
    catalogue.finish_renders([shown(folders, job_of(catalogue, STATE))])
    catalogue.finish_renders([draw(folders, job_of(catalogue, IMAGE))])
    catalogue.expire(STUDY)
    left = catalogue.write(
        lambda connection: connection.execute("SELECT count(*) FROM presented").fetchone()
    )
    assert left == (0,)
    assert not any(row.pictures for row in catalogue.instances(STUDY))


def test_the_states_that_wait_are_found_without_a_look_at_the_images(folders: Folders) -> None:
    with sqlite3.connect(folders.catalogue) as connection:
        plan = connection.execute(
            f"EXPLAIN QUERY PLAN SELECT 1 FROM instances WHERE study = ? AND {_WAITING}", (1,)
        ).fetchall()
    connection.close()
    assert "any_states_queued" in str(plan)
