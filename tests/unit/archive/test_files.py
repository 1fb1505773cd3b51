import os
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.archive import files
from appliance.archive.files import (
    DurableNames,
    Folders,
    PendingFile,
    UnusableUID,
    picture_name,
    sync_directories,
)


def temporaries(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".*.part")]


# -- names


def test_paths_are_made_of_uids(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    assert folders.dicom_file("1.2", "1.2.3", "1.2.3.4") == tmp_path / "dicom/1.2/1.2.3/1.2.3.4.dcm"
    single = folders.picture("1.2", "1.2.3", "1.2.3.4", None, ".jpg")
    assert single == tmp_path / "images/1.2/1.2.3/1.2.3.4.jpg"
    frame = folders.picture("1.2", "1.2.3", "1.2.3.4", 12, ".png")
    assert frame == tmp_path / "images/1.2/1.2.3/1.2.3.4.0012.png"
    assert picture_name("1.2", 12345, ".webp") == "1.2.12345.webp"


@pytest.mark.parametrize(
    "uid",
    [
        "",
        ".",
        "..",
        "../1",
        "1/2",
        "/etc",
        "1.2\n",
        "1.2\0",
        ".1.2",
        "1" * 65,
        "1.2a",
        "１.2",
        "1 2",
    ],
)
def test_what_is_no_uid_becomes_no_name(tmp_path: Path, uid: str) -> None:
    folders = Folders(tmp_path)
    for names in ((uid, "1", "2"), ("1", uid, "2"), ("1", "2", uid)):
        with pytest.raises(UnusableUID, match="1 to 64 digits and dots"):
            folders.dicom_file(*names)
        with pytest.raises(UnusableUID):
            folders.picture(*names, None, ".jpg")


@given(st.tuples(*[st.text(st.sampled_from("0123456789./\\\0ab"), max_size=70)] * 3))
def test_no_name_leads_out_of_its_folder(names: tuple[str, str, str]) -> None:
    folders = Folders(Path("/data"))
    try:
        path = folders.dicom_file(*names)
    except UnusableUID:
        return
    assert path.parts[:3] == ("/", "data", "dicom")
    assert os.path.normpath(path) == str(path)
    assert len(path.parts) == 6


@pytest.mark.parametrize(("frame", "suffix"), [(0, ".jpg"), (-1, ".jpg"), (1, "jpg"), (1, ".exe")])
def test_a_picture_has_a_frame_from_1_and_a_known_suffix(frame: int, suffix: str) -> None:
    with pytest.raises(ValueError, match=r"counted from 1|expected one of \.jpg"):
        picture_name("1.2", frame, suffix)


def test_prepare_may_be_repeated(tmp_path: Path) -> None:
    folders = Folders(tmp_path / "a" / "b")
    folders.prepare()
    folders.prepare()
    assert folders.dicom.is_dir() and folders.images.is_dir()


# -- pending files


def test_a_pending_file_has_no_name_before_it_is_settled(tmp_path: Path) -> None:
    final = tmp_path / "1.2" / "3" / "4.dcm"
    pending = PendingFile.create(final)
    pending.write([b"abc", bytearray(b"de"), memoryview(b"fgh")[1:]])
    assert pending.size == 7
    assert not final.exists()
    assert len(temporaries(tmp_path)) == 1
    directories = pending.settle()
    assert final.read_bytes() == b"abcdegh"
    assert temporaries(tmp_path) == []
    assert directories == (tmp_path / "1.2/3", tmp_path, tmp_path / "1.2")


def test_only_directories_with_a_new_name_in_them_need_a_sync(tmp_path: Path) -> None:
    first = PendingFile.create(tmp_path / "a" / "1")
    second = PendingFile.create(tmp_path / "a" / "2")
    assert first.settle() == (tmp_path / "a", tmp_path)
    assert second.settle() == (tmp_path / "a",)


def test_a_newer_file_replaces_an_older_one_whole(tmp_path: Path) -> None:
    final = tmp_path / "1.dcm"
    final.write_bytes(b"old and long")
    with PendingFile.create(final) as pending:
        pending.write([b"new"])
        assert final.read_bytes() == b"old and long"
        pending.settle()
    assert final.read_bytes() == b"new"


def test_two_files_of_one_name_do_not_meet_before_they_are_whole(tmp_path: Path) -> None:
    final = tmp_path / "1.dcm"
    one, other = PendingFile.create(final), PendingFile.create(final)
    one.write([b"one"])
    other.write([b"other"])
    one.settle()
    assert final.read_bytes() == b"one"
    other.settle()
    assert final.read_bytes() == b"other"


def test_what_is_discarded_leaves_nothing(tmp_path: Path) -> None:
    pending = PendingFile.create(tmp_path / "1.dcm")
    pending.write([b"x"])
    pending.discard()
    pending.discard()
    assert list(tmp_path.iterdir()) == []


def test_leaving_the_block_discards_unless_settled(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), PendingFile.create(tmp_path / "1.dcm") as pending:
        pending.write([b"x"])
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_partial_writes_and_many_buffers_are_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel may take any number of bytes at a time, and IOV_MAX buffers at most."""
    really = os.writev
    sizes = iter([1, 3, 5, 2, 7, 1000, 4, 1] * 10_000)

    def stingy(descriptor: int, buffers: list[bytes]) -> int:
        assert len(buffers) <= 1024
        some = b"".join(bytes(buffer) for buffer in buffers)[: next(sizes)]
        return really(descriptor, [some])

    monkeypatch.setattr(files.os, "writev", stingy)
    buffers = [bytes([n % 251]) * (n % 7) for n in range(3000)]
    wide = memoryview(bytes(range(240))).cast("H")
    with PendingFile.create(tmp_path / "x") as pending:
        pending.write(buffers)
        pending.write([wide, b"", wide])
        assert pending.size == sum(map(len, buffers)) + 480
        pending.settle()
    assert (tmp_path / "x").read_bytes() == b"".join(buffers) + bytes(range(240)) * 2


def test_the_true_kernel_takes_more_buffers_than_iov_max(tmp_path: Path) -> None:
    with PendingFile.create(tmp_path / "x") as pending:
        pending.write([b"ab"] * 5000)
        pending.settle()
    assert (tmp_path / "x").read_bytes() == b"ab" * 5000


@pytest.mark.parametrize("call", ["fdatasync", "rename"])
def test_what_cannot_be_settled_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    pending = PendingFile.create(tmp_path / "1.dcm")
    pending.write([b"x"])
    monkeypatch.setattr(files.os, call, full)
    with pytest.raises(OSError, match="No space"):
        pending.settle()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_goes_meanwhile_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retention removes empty folders while instances arrive."""
    really = os.mkdir
    gone = []

    def fleeting(folder: Path, mode: int) -> None:
        really(folder, mode)
        if len(gone) < 3:
            gone.append(folder)
            os.rmdir(folder)

    monkeypatch.setattr(files.os, "mkdir", fleeting)
    with PendingFile.create(tmp_path / "a" / "b" / "1") as pending:
        pending.settle()
    assert len(gone) == 3
    assert (tmp_path / "a/b/1").exists()


def test_a_folder_that_cannot_be_made_is_an_error_not_a_loop(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError):
        PendingFile.create(tmp_path / "a" / "1")
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        PendingFile.create(tmp_path / "f" / "1")


# -- directories


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of what was fsynced."""
    calls: list[str] = []
    really = os.fsync

    def fsync(descriptor: int) -> None:
        calls.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        really(descriptor)

    monkeypatch.setattr(files.os, "fsync", fsync)
    return calls


def test_each_directory_is_synced_once(tmp_path: Path, synced: list[str]) -> None:
    (tmp_path / "a").mkdir()
    sync_directories([tmp_path / "a", tmp_path, tmp_path / "a"])
    assert synced == [str(tmp_path / "a"), str(tmp_path)]


def test_a_directory_met_first_is_anchored_up_to_the_root(
    tmp_path: Path, synced: list[str]
) -> None:
    root = tmp_path / "data"
    series = root / "dicom" / "1" / "2"
    series.mkdir(parents=True)
    names = DurableNames(root)
    names.sync([series])
    assert synced == [str(p) for p in (series, series.parent, root / "dicom", root)]
    synced.clear()
    names.sync([series, series])
    assert synced == [str(series)]
    synced.clear()
    names.forget(series)
    names.sync([series])
    assert str(series.parent) in synced
    synced.clear()
    names.sync([tmp_path])
    assert synced == [str(tmp_path)], "nothing above the root is ours"


def test_a_directory_that_cannot_be_synced_is_named(tmp_path: Path) -> None:
    names = DurableNames(tmp_path)
    with pytest.raises(OSError, match="gone"):
        names.sync([tmp_path / "gone"])
    (tmp_path / "gone").mkdir()
    names.sync([tmp_path / "gone"])


def test_threads_share_an_fsync_that_began_after_they_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, begun, go_on = DurableNames(tmp_path), threading.Semaphore(0), threading.Semaphore(0)

    def slow(path: str) -> None:
        begun.release()
        assert go_on.acquire(timeout=30)

    names.sync([tmp_path])
    monkeypatch.setattr(files, "_sync_directory", slow)
    early, *late = (threading.Thread(target=names.sync, args=([tmp_path],)) for _ in range(5))
    early.start()
    assert begun.acquire(timeout=30)
    for thread in late:
        thread.start()
    waiting = names._flushes[str(tmp_path)]
    while waiting.users < 5:
        time.sleep(0.001)
    go_on.release()
    early.join(30)
    assert begun.acquire(timeout=30), "they came too late for the first one"
    assert all(thread.is_alive() for thread in late)
    go_on.release()
    for thread in late:
        thread.join(30)
    assert not begun.acquire(blocking=False), "one for all of them"
    assert not names._flushes


def test_an_fsync_that_fails_serves_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names, outcomes = DurableNames(tmp_path), iter([OSError(5, "broken"), None])
    names.sync([tmp_path])

    def fails_once(path: str) -> None:
        if (outcome := next(outcomes)) is not None:
            raise outcome

    monkeypatch.setattr(files, "_sync_directory", fails_once)
    with pytest.raises(OSError, match="broken"):
        names.sync([tmp_path])
    names.sync([tmp_path])
    assert next(outcomes, "none left") == "none left"
