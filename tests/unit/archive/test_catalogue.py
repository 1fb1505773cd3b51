import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.archive.catalogue import (
    COMPLETE,
    INTERRUPTED,
    Catalogue,
    CatalogueFailed,
    PictureRow,
    RemoteState,
    RenderOutcome,
    StudyProgress,
)
from appliance.archive.files import Folders, PendingFile
from tests.unit.archive.material import (
    REMOTE,
    SERIES,
    STUDY,
    arrive,
    draw,
    files_below,
    instance,
    render_all,
)


class Clock:
    """Time as the test sets it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def uids(*numbers: int) -> frozenset[str]:
    return frozenset(instance(number).instance for number in numbers)


def recounted(path: Path) -> dict[str, int]:
    """The figures of `totals`, counted from the rows."""
    connection = sqlite3.connect(path)
    try:
        cursor = connection.execute(
            """
            WITH held AS (SELECT * FROM instances WHERE file <> 'missing'),
              lacking AS (
                SELECT DISTINCT study, instance FROM listed WHERE NOT EXISTS (
                  SELECT 1 FROM held WHERE held.study = listed.study AND uid = instance))
            SELECT
              (SELECT count(DISTINCT study) FROM held) AS studies,
              (SELECT count(*) FROM series) AS series,
              (SELECT count(*) FROM lacking) AS outstanding,
              (SELECT count(DISTINCT study) FROM lacking) AS incomplete,
              (SELECT count(*) FROM held) AS held,
              (SELECT count(*) FROM instances WHERE file = 'missing') AS missing,
              (SELECT count(*) FROM held WHERE file = 'expired') AS expired,
              (SELECT count(*) FROM held WHERE file = 'held' AND picture = 'queued') AS queued,
              (SELECT count(*) FROM held WHERE picture = 'rendered') AS rendered,
              (SELECT count(*) FROM held WHERE picture = 'none') AS without_picture,
              (SELECT count(*) FROM held WHERE picture = 'failed') AS failed,
              (SELECT ifnull(sum(bytes), 0) FROM held WHERE file = 'held') AS bytes,
              (SELECT count(*) FROM pictures) AS pictures,
              (SELECT ifnull(sum(bytes), 0) FROM pictures) AS picture_bytes
            """
        )
        return dict(zip([c[0] for c in cursor.description], cursor.fetchone(), strict=True))
    finally:
        connection.close()


def kept(path: Path) -> dict[str, int]:
    """The figures of `totals`, as the triggers kept them."""
    connection = sqlite3.connect(path)
    try:
        cursor = connection.execute("SELECT * FROM totals")
        return dict(zip([c[0] for c in cursor.description], cursor.fetchone(), strict=True))
    finally:
        connection.close()


# -- storing


def test_a_stored_instance_is_held_and_queued(catalogue: Catalogue, folders: Folders) -> None:
    stored = arrive(catalogue, folders, instance(1))
    assert catalogue.held(STUDY) == uids(1)
    (job,) = catalogue.next_renders(10)
    assert (job.instance, job.series, job.study) == (stored.instance, SERIES, STUDY)
    assert (job.sop_class, job.transfer_syntax) == (stored.sop_class, stored.transfer_syntax)
    assert (job.frames, job.bytes) == (1, stored.bytes)
    status = catalogue.status()
    assert (status.studies, status.series, status.instances, status.queued) == (1, 1, 1, 1)
    assert status.bytes == stored.bytes


def test_the_same_instance_again_is_no_second_row(catalogue: Catalogue, folders: Folders) -> None:
    assert catalogue.store(instance(1), ()) is True
    assert catalogue.store(instance(1), ()) is False
    render_all(catalogue, folders)
    assert catalogue.store(instance(1), ()) is False
    assert catalogue.status().instances == 1


def test_the_same_instance_again_is_rendered_again(catalogue: Catalogue, folders: Folders) -> None:
    """Its file was replaced: what was masked in the one before is not masked in this one."""
    catalogue.store(instance(1), ())
    render_all(catalogue, folders)
    catalogue.store(instance(1), ())
    (job,) = catalogue.next_renders(10)
    assert job.generation == 1
    assert catalogue.status().pictures == 1, "the pictures are served until there are newer ones"


@pytest.mark.parametrize("change", [{"bytes": 999}, {"sop_class": "1.2.840.10008.5.1.4.1.1.7"}])
def test_another_content_is_rendered_again(
    catalogue: Catalogue, folders: Folders, change: dict[str, object]
) -> None:
    catalogue.store(instance(1), ())
    render_all(catalogue, folders)
    assert catalogue.store(instance(1, **change), ()) is False
    (job,) = catalogue.next_renders(10)
    assert {name: getattr(job, name) for name in change} == change
    assert catalogue.status().bytes == change.get("bytes", 1000)


def test_a_dataset_without_pixels_is_not_queued(catalogue: Catalogue) -> None:
    catalogue.store(instance(1, has_pixels=False), ())
    assert catalogue.next_renders(10) == []
    assert catalogue.status().without_picture == 1


def test_one_instance_in_two_studies_is_two_files(catalogue: Catalogue, folders: Folders) -> None:
    """A remote that lists it so is wrong, but must not keep either study incomplete for ever."""
    catalogue.list_study("2.25.1", REMOTE, ["2.25.9"])
    catalogue.list_study("2.25.2", REMOTE, ["2.25.9"])
    for study in ("2.25.1", "2.25.2"):
        arrive(catalogue, folders, instance(1, study=study, instance="2.25.9"))
        assert catalogue.study_progress(study).complete


def test_the_order_of_arrival_is_the_order_of_rendering(catalogue: Catalogue) -> None:
    for number in (5, 3, 9, 1):
        catalogue.store(instance(number), ())
    assert [job.instance for job in catalogue.next_renders(3)] == [
        instance(number).instance for number in (5, 3, 9)
    ]


def test_many_threads_store_at_the_same_time(catalogue: Catalogue, folders: Folders) -> None:
    """Half of what each thread stores is stored by another one, too."""

    def work(thread: int) -> int:
        new = 0
        for number in range(60):
            shared = number if number % 2 else 1000 * thread + number
            described = instance(
                shared, study=f"2.25.{number % 5}", series=f"2.25.{number % 5}.{thread % 2}"
            )
            new += catalogue.store(described, (folders.dicom,))
            catalogue.count("stored")
            if number % 20 == 0:
                catalogue.status()
        return new

    with ThreadPoolExecutor(8) as pool:
        new = sum(pool.map(work, range(8)))
    status = catalogue.status()
    assert status.instances == new == 8 * 30 + 2 * 30
    assert status.counters["stored"] == 8 * 60
    assert recounted(folders.catalogue) == kept(folders.catalogue)


def test_a_name_that_does_not_last_is_not_stored(catalogue: Catalogue, tmp_path: Path) -> None:
    with pytest.raises(CatalogueFailed, match="could not be synced"):
        catalogue.store(instance(1), (tmp_path / "gone",))
    assert catalogue.held(STUDY) == frozenset()


def test_keys_given_out_in_a_failed_transaction_are_forgotten(catalogue: Catalogue) -> None:
    """The failed one makes study and series; the next one must not use their keys."""
    with pytest.raises(CatalogueFailed):
        catalogue.store(instance(1, frames=None), ())  # type: ignore[arg-type]
    catalogue.store(instance(2, study="2.25.5"), ())
    catalogue.store(instance(1), ())
    assert catalogue.held(STUDY) == uids(1)
    assert catalogue.held("2.25.5") == uids(2)


def test_a_study_remembers_the_pseudonym_it_is_told(catalogue: Catalogue, folders: Folders) -> None:
    catalogue.list_study(STUDY, REMOTE, [])
    catalogue.store(instance(1, patient="subject-7"), ())
    catalogue.store(instance(2, patient=None), ())
    connection = sqlite3.connect(folders.catalogue)
    assert connection.execute("SELECT patient FROM studies").fetchall() == [("subject-7",)]
    connection.close()


# -- listings


def test_what_is_listed_and_not_held_is_outstanding(catalogue: Catalogue) -> None:
    catalogue.store(instance(1), ())
    assert catalogue.list_study(STUDY, REMOTE, uids(1, 2, 3)) == uids(2, 3)
    assert catalogue.study_progress(STUDY) == StudyProgress(
        listed=3, held=1, rendered=0, failed=0, outstanding=2, queued=1, without_picture=0
    )
    catalogue.store(instance(2), ())
    catalogue.store(instance(4), ())
    assert catalogue.study_progress(STUDY).outstanding == 1
    assert not catalogue.study_progress(STUDY).complete
    catalogue.store(instance(3), ())
    assert catalogue.study_progress(STUDY).complete
    assert catalogue.status().outstanding == catalogue.status().incomplete == 0


def test_listings_of_several_remotes_add_up(catalogue: Catalogue) -> None:
    catalogue.list_study(STUDY, "a", uids(1, 2))
    assert catalogue.list_study(STUDY, "b", uids(2, 3)) == uids(2, 3)
    assert catalogue.study_progress(STUDY).listed == 3
    assert catalogue.status().outstanding == 3
    catalogue.list_study(STUDY, "a", ())
    assert catalogue.status().outstanding == 2
    catalogue.retain_remotes({"a"})
    assert catalogue.status().outstanding == 0
    assert catalogue.listed(STUDY, "b") is None


def test_an_unchanged_listing_writes_nothing(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert catalogue.list_study(STUDY, REMOTE, uids(1, 2)) == uids(1, 2)
    catalogue.store(instance(1), ())
    monkeypatch.setattr(catalogue, "write", lambda *_: pytest.fail("a write"))
    assert catalogue.list_study(STUDY, REMOTE, uids(2, 1)) == uids(2)


def test_an_empty_listing_is_one(catalogue: Catalogue) -> None:
    assert catalogue.listed(STUDY, REMOTE) is None
    catalogue.list_study(STUDY, REMOTE, ())
    assert catalogue.listed(STUDY, REMOTE) == frozenset()
    assert not catalogue.study_progress(STUDY).complete


def test_what_is_not_known_is_no_error(catalogue: Catalogue) -> None:
    assert catalogue.held("2.25.404") == frozenset()
    assert catalogue.study_progress("2.25.404") == StudyProgress(0, 0, 0, 0, 0, 0, 0)
    assert catalogue.attempts("2.25.404") == 0
    assert catalogue.retrieval_due("2.25.404", 0.0)
    assert catalogue.remote_state("nobody") == RemoteState("nobody")
    assert catalogue.expire("2.25.404") == 0


# -- rendering


def test_finished_renders_leave_the_queue(catalogue: Catalogue, folders: Folders) -> None:
    for number in (1, 2, 3, 4):
        arrive(catalogue, folders, instance(number, frames=2 if number == 4 else 1))
    one, two, three, four = catalogue.next_renders(10)
    catalogue.finish_renders(
        [
            draw(folders, one),
            RenderOutcome(two, "none", "no image in it"),
            RenderOutcome(three, "failed", "cannot be decoded"),
            draw(folders, four, frames=2, suffix=".png"),
        ]
    )
    assert catalogue.next_renders(10) == []
    status = catalogue.status()
    assert (status.rendered, status.without_picture, status.failed) == (2, 1, 1)
    assert status.pictures == 3
    pictured = {row.instance: row for row in catalogue.instances(STUDY)}
    assert [p.frame for p in pictured[four.instance].pictures] == [1, 2]
    assert pictured[one.instance].pictures[0].frame is None
    assert recounted(folders.catalogue) == kept(folders.catalogue)


def test_an_outcome_for_a_replaced_content_is_ignored(
    catalogue: Catalogue, folders: Folders
) -> None:
    arrive(catalogue, folders, instance(1), b"old")
    (old,) = catalogue.next_renders(1)
    arrive(catalogue, folders, instance(1), b"newer")
    catalogue.finish_renders([draw(folders, old, drop_dicom=True)])
    (job,) = catalogue.next_renders(1)
    assert job.bytes == 5
    assert job.generation != old.generation
    assert folders.dicom_file(STUDY, SERIES, job.instance).read_bytes() == b"newer"


def test_what_cannot_be_rendered_because_it_is_gone_is_missing(
    catalogue: Catalogue, folders: Folders
) -> None:
    arrive(catalogue, folders, instance(1))
    (job,) = catalogue.next_renders(1)
    folders.dicom_file(STUDY, SERIES, job.instance).unlink()
    catalogue.finish_renders([RenderOutcome(job, "failed", "no such file")])
    assert catalogue.held(STUDY) == frozenset()
    assert catalogue.next_renders(1) == []
    arrive(catalogue, folders, instance(1))
    assert len(catalogue.next_renders(1)) == 1
    assert recounted(folders.catalogue) == kept(folders.catalogue)


def test_dicom_is_dropped_only_if_there_is_a_picture(
    catalogue: Catalogue, folders: Folders
) -> None:
    for number in (1, 2):
        arrive(catalogue, folders, instance(number))
    one, two = catalogue.next_renders(10)
    catalogue.finish_renders(
        [draw(folders, one, drop_dicom=True), RenderOutcome(two, "failed", "?", drop_dicom=True)]
    )
    assert files_below(folders.dicom) == {f"{STUDY}/{SERIES}/{two.instance}.dcm"}
    assert catalogue.held(STUDY) == uids(1, 2)
    assert catalogue.status().bytes == two.bytes


def test_a_picture_whose_name_does_not_last_drops_nothing(
    catalogue: Catalogue, folders: Folders
) -> None:
    arrive(catalogue, folders, instance(1))
    (job,) = catalogue.next_renders(1)
    nowhere = RenderOutcome(job, "rendered", "", (PictureRow(None, 1, 1, 1),), True)
    with pytest.raises(CatalogueFailed, match="could not be synced"):
        catalogue.finish_renders([nowhere])
    assert folders.dicom_file(STUDY, SERIES, job.instance).exists()
    assert catalogue.next_renders(1) == [job]


def test_pictures_of_an_earlier_rendering_are_replaced(
    catalogue: Catalogue, folders: Folders
) -> None:
    arrive(catalogue, folders, instance(1, frames=3))
    render_all(catalogue, folders, frames=3)
    arrive(catalogue, folders, instance(1, frames=2), b"other")
    render_all(catalogue, folders, frames=2, suffix=".png")
    names = {f"{STUDY}/{SERIES}/{instance(1).instance}.{frame:04d}.png" for frame in (1, 2)}
    assert files_below(folders.images) == names
    assert catalogue.status().pictures == 2
    assert recounted(folders.catalogue) == kept(folders.catalogue)


def test_a_newer_file_is_not_dropped_with_the_older_one(
    catalogue: Catalogue, folders: Folders
) -> None:
    """The newer file takes the name while the older content is being given up."""
    arrive(catalogue, folders, instance(1), b"old")
    (job,) = catalogue.next_renders(1)
    newer = PendingFile.create(folders.dicom_file(STUDY, SERIES, job.instance))
    newer.write([b"newer"])
    directories = newer.settle()
    catalogue.finish_renders([draw(folders, job, drop_dicom=True)])
    # Its row was not there yet, so its file went. It must not be acknowledged.
    with pytest.raises(CatalogueFailed, match="send it again"):
        catalogue.store(instance(1, bytes=5), directories)
    arrive(catalogue, folders, instance(1), b"newer")
    assert folders.dicom_file(STUDY, SERIES, job.instance).read_bytes() == b"newer"
    assert len(catalogue.next_renders(5)) == 1


def test_a_store_in_the_same_transaction_saves_its_file(
    catalogue: Catalogue, folders: Folders
) -> None:
    arrive(catalogue, folders, instance(1), b"old")
    (job,) = catalogue.next_renders(1)
    entered, leave = threading.Event(), threading.Event()

    def hold(_: sqlite3.Connection) -> None:
        entered.set()
        assert leave.wait(5)

    with ThreadPoolExecutor(3) as pool:
        pool.submit(catalogue.write, hold)
        assert entered.wait(5)
        outcome = draw(folders, job, drop_dicom=True)
        finishing = pool.submit(catalogue.finish_renders, [outcome])
        while catalogue._committer._queue.qsize() < 1:
            pass
        storing = pool.submit(arrive, catalogue, folders, instance(1), b"newer")
        while catalogue._committer._queue.qsize() < 2:
            pass
        leave.set()
        finishing.result(5)
        storing.result(5)
    assert folders.dicom_file(STUDY, SERIES, job.instance).read_bytes() == b"newer"
    assert catalogue.next_renders(1)[0].bytes == 5


# -- remotes and retrievals


def test_remotes_are_remembered(folders: Folders) -> None:
    clock = Clock()
    catalogue = Catalogue.open(folders.catalogue, clock)
    catalogue.remote_failed(REMOTE, "no route", 1060.0)
    clock.now = 1060.0
    catalogue.remote_failed(REMOTE, "still none", 1180.0)
    catalogue.close()
    catalogue = Catalogue.open(folders.catalogue, clock)
    assert catalogue.remote_state(REMOTE) == RemoteState(
        REMOTE, None, 1060.0, "still none", 2, 1180.0
    )
    clock.now = 1200.0
    catalogue.remote_reached(REMOTE)
    assert catalogue.remote_state(REMOTE) == RemoteState(REMOTE, 1200.0, 1060.0, "", 0, None)
    assert catalogue.status().remotes == (catalogue.remote_state(REMOTE),)
    catalogue.close()


def test_pauses_and_attempts_survive_a_restart(folders: Folders) -> None:
    clock = Clock()
    catalogue = Catalogue.open(folders.catalogue, clock)
    catalogue.list_study(STUDY, REMOTE, uids(1, 2))
    assert catalogue.retrieval_due(STUDY, 1000.0)
    number = catalogue.begin_retrieval(STUDY, REMOTE, "move", 2)
    assert catalogue.attempts(STUDY) == 1
    catalogue.end_retrieval(number, "partial", "one came", 1, 1500.0)
    interrupted = catalogue.begin_retrieval(STUDY, REMOTE, "get", 1)
    catalogue.close()

    clock.now = 1100.0
    catalogue = Catalogue.open(folders.catalogue, clock)
    assert catalogue.attempts(STUDY) == 2
    last, first = catalogue.retrievals(10, STUDY)
    assert (first.outcome, first.sentence, first.arrived) == ("partial", "one came", 1)
    assert (last.number, last.outcome, last.ended_at) == (interrupted, INTERRUPTED, 1100.0)
    assert catalogue.retrieval_due(STUDY, 1100.0)

    number = catalogue.begin_retrieval(STUDY, REMOTE, "move", 1)
    catalogue.end_retrieval(number, "failed", "none came", 0, 2000.0)
    catalogue.close()
    catalogue = Catalogue.open(folders.catalogue, clock)
    assert not catalogue.retrieval_due(STUDY, 1999.0)
    assert catalogue.retrieval_due(STUDY, 2000.0)
    assert catalogue.attempts(STUDY) == 3

    catalogue.list_study(STUDY, REMOTE, uids(1, 2, 3))
    assert catalogue.retrieval_due(STUDY, 1999.0), "the study grew"
    number = catalogue.begin_retrieval(STUDY, REMOTE, "move", 1)
    catalogue.end_retrieval(number, COMPLETE, "", 1, None)
    assert catalogue.attempts(STUDY) == 0
    assert catalogue.retrievals(1)[0].outcome == COMPLETE
    catalogue.close()


def test_a_pause_at_one_remote_is_none_at_another(catalogue: Catalogue) -> None:
    catalogue.list_study(STUDY, "a", uids(1))
    number = catalogue.begin_retrieval(STUDY, "a", "move", 1)
    catalogue.end_retrieval(number, "failed", "", 0, 9e9)
    assert not catalogue.retrieval_due(STUDY, 1000.0, "a")
    assert not catalogue.retrieval_due(STUDY, 1000.0)
    catalogue.list_study(STUDY, "b", uids(1))
    assert catalogue.retrieval_due(STUDY, 1000.0, "b")
    assert catalogue.retrieval_due(STUDY, 1000.0)
    assert (catalogue.attempts(STUDY, "a"), catalogue.attempts(STUDY, "b")) == (1, 0)


def test_ending_what_never_began_is_an_error(catalogue: Catalogue) -> None:
    with pytest.raises(LookupError, match="77"):
        catalogue.end_retrieval(77, "failed", "", 0, None)


# -- events and counters


def test_history_is_capped(catalogue: Catalogue, folders: Folders) -> None:
    def many(connection: sqlite3.Connection) -> None:
        connection.executemany(
            "INSERT INTO events (at, severity, subject, text) VALUES (1, 'info', 's', ?)",
            ((str(n),) for n in range(10_050)),
        )
        connection.execute("INSERT INTO studies (uid) VALUES ('2.25.1')")
        connection.execute("INSERT INTO remotes (name) VALUES ('pacs')")
        connection.executemany(
            "INSERT INTO retrievals (study, remote, method, begun_at, missing)"
            " VALUES (1, 1, 'move', ?, 1)",
            ((n,) for n in range(10_050)),
        )

    catalogue.write(many)
    catalogue.event("error", "disk", "the last one")
    connection = sqlite3.connect(folders.catalogue)
    assert connection.execute("SELECT count(*) FROM events").fetchone() == (10_000,)
    assert connection.execute("SELECT count(*) FROM retrievals").fetchone() == (10_000,)
    connection.close()
    last, before, *_ = catalogue.status().events
    assert (last.severity, last.subject, last.text) == ("error", "disk", "the last one")
    assert before.text == "10049"


def test_counters_are_in_the_status_at_once_and_after_a_restart(folders: Folders) -> None:
    catalogue = Catalogue.open(folders.catalogue)
    catalogue.count("refused")
    catalogue.count("discarded", 3)
    assert catalogue.status().counters == {"discarded": 3, "refused": 1}
    catalogue.close()
    catalogue = Catalogue.open(folders.catalogue)
    assert catalogue.status().counters == {"discarded": 3, "refused": 1}
    catalogue.close()


# -- expiry


def complete_study(catalogue: Catalogue, folders: Folders, count: int = 3) -> None:
    catalogue.list_study(STUDY, REMOTE, uids(*range(count)))
    for number in range(count):
        arrive(catalogue, folders, instance(number))
    render_all(catalogue, folders)


def test_an_expired_study_has_rows_and_no_files(
    catalogue: Catalogue, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.archive.rows._CHUNK", 10)
    complete_study(catalogue, folders, 25)
    status = catalogue.status()
    (study,) = catalogue.oldest_complete_studies()
    assert study.bytes == status.bytes + status.picture_bytes > 0
    assert catalogue.expire(STUDY) == study.bytes
    assert files_below(folders.dicom) == files_below(folders.images) == set()
    assert list(folders.dicom.iterdir()) == list(folders.images.iterdir()) == []
    assert catalogue.held(STUDY) == uids(*range(25))
    assert catalogue.list_study(STUDY, REMOTE, uids(*range(25))) == frozenset()
    assert catalogue.oldest_complete_studies() == ()
    assert catalogue.expire(STUDY) == 0
    status = catalogue.status()
    assert (status.expired, status.bytes, status.picture_bytes, status.pictures) == (25, 0, 0, 0)
    assert recounted(folders.catalogue) == kept(folders.catalogue)


def test_an_expired_instance_may_come_again(catalogue: Catalogue, folders: Folders) -> None:
    complete_study(catalogue, folders)
    catalogue.expire(STUDY)
    arrive(catalogue, folders, instance(1))
    assert len(catalogue.next_renders(9)) == 1
    assert catalogue.status().expired == 2
    assert recounted(folders.catalogue) == kept(folders.catalogue)


def test_nothing_expires_that_is_incomplete_or_not_rendered(
    catalogue: Catalogue, folders: Folders
) -> None:
    arrive(catalogue, folders, instance(1))
    assert catalogue.oldest_complete_studies() == ()
    assert catalogue.expire(STUDY) == 0
    render_all(catalogue, folders)
    assert len(catalogue.oldest_complete_studies()) == 1
    catalogue.list_study(STUDY, REMOTE, uids(1, 2))
    assert catalogue.oldest_complete_studies() == ()
    assert catalogue.expire(STUDY) == 0
    assert len(files_below(folders.dicom)) == len(files_below(folders.images)) == 1
    arrive(catalogue, folders, instance(2))
    assert catalogue.expire(STUDY) == 0
    render_all(catalogue, folders)
    catalogue.lose([catalogue.instances(STUDY)[0].key], [])
    assert catalogue.expire(STUDY) == 0


def test_missing_is_not_held_and_outstanding_again(catalogue: Catalogue, folders: Folders) -> None:
    complete_study(catalogue, folders)
    lost = catalogue.instances(STUDY)[1]
    catalogue.lose([lost.key], [])
    assert catalogue.held(STUDY) == uids(0, 2)
    assert catalogue.study_progress(STUDY).outstanding == 1
    assert catalogue.status().missing == 1
    assert catalogue.store(instance(1), ()) is True
    assert catalogue.study_progress(STUDY).complete
    assert [job.instance for job in catalogue.next_renders(9)] == [lost.instance]
    assert recounted(folders.catalogue) == kept(folders.catalogue)


def test_an_instance_in_two_series_is_outstanding_once(
    catalogue: Catalogue, folders: Folders
) -> None:
    catalogue.list_study(STUDY, REMOTE, uids(1))
    catalogue.store(instance(1), ())
    catalogue.store(instance(1, series="2.25.1.2"), ())
    assert catalogue.status().outstanding == 0
    one, other = catalogue.instances(STUDY)
    catalogue.lose([one.key], [])
    assert catalogue.status().outstanding == 0
    catalogue.lose([other.key], [])
    assert catalogue.status().outstanding == 1
    assert recounted(folders.catalogue) == kept(folders.catalogue)


# -- opening and closing


def test_what_was_stored_is_there_after_a_restart(folders: Folders) -> None:
    catalogue = Catalogue.open(folders.catalogue)
    arrive(catalogue, folders, instance(1))
    catalogue.close()
    catalogue.close()
    with pytest.raises(CatalogueFailed, match="closed"):
        catalogue.store(instance(2), ())
    with pytest.raises(CatalogueFailed, match="closed"):
        catalogue.held(STUDY)
    assert not catalogue.alive and catalogue.failure is None
    catalogue = Catalogue.open(folders.catalogue)
    assert catalogue.held(STUDY) == uids(1)
    assert catalogue.store(replace(instance(1), bytes=1), ()) is False
    catalogue.close()


def test_commits_are_synced_to_the_disk(catalogue: Catalogue) -> None:
    """`synchronous=FULL` (2) fsyncs the write-ahead log at each commit."""
    assert catalogue.write(lambda c: c.execute("PRAGMA synchronous").fetchone()) == (2,)
    assert catalogue.write(lambda c: c.execute("PRAGMA journal_mode").fetchone()) == ("wal",)


def test_a_catalogue_without_a_folder_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Catalogue.open(tmp_path / "gone" / "catalogue.sqlite")


def test_nobody_but_owner_and_group_can_read_it(catalogue: Catalogue, folders: Folders) -> None:
    arrive(catalogue, folders, instance(1))
    modes = {path.name: path.stat().st_mode & 0o007 for path in folders.data.rglob("*")}
    assert len(modes) >= 8 and set(modes.values()) == {0}


def test_the_lock_is_free_after_a_failed_opening(folders: Folders) -> None:
    folders.catalogue.mkdir()
    for _ in range(2):
        with pytest.raises(CatalogueFailed, match="cannot be opened"):
            Catalogue.open(folders.catalogue)
    folders.catalogue.rmdir()
    Catalogue.open(folders.catalogue).close()
