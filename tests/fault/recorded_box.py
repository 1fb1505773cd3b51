"""A real box on a recorded disk, and what is done to it: everything that it writes for, once.

Instances from four associations at a time, copies of them, studies sent again as they were and with
another content, pictures, DICOM files that go when these are made, studies removed by quota, a box
killed while it stores and one killed while it renders.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.archive.secret import load_or_create_key
from appliance.images.deidentify import Deidentifier
from tests.fault.block_log import BlockLog
from tests.fault.boxes import Process, Site
from tests.fault.ledger import Ledger
from tests.fault.recorded_disk import make_file_system, mounted, recorded_disk
from tests.fault.specimens import Content, study
from tests.fault.wire import Sender
from tests.notify import NotifySocket, notify_socket

SIZE = 160 << 20
"""Bytes of the file system: enough for a spare superblock, which ext4 has at 128 MiB."""
SENDERS = 4
SLICES = 20
FILL = """
import os, sqlite3, sys
catalogue = sqlite3.connect(sys.argv[1], isolation_level=None)
catalogue.execute("PRAGMA synchronous = OFF")
catalogue.execute("PRAGMA wal_autocheckpoint = 0")
for _ in range(1975):
    catalogue.execute("UPDATE totals SET studies = studies + 1")
    catalogue.execute("UPDATE totals SET studies = studies - 1")
os._exit(0)  # Closed in order, it would be emptied.
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """One content as a box that nobody cuts off keeps it: its file, its pictures by name."""

    file: bytes
    pictures: Mapping[str, bytes]


Kept = Mapping[tuple[str, int], Stored]
"""By the UID that the box gives to an instance, and version."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What came of it."""

    log: BlockLog
    ledger: Ledger
    key: bytes

    @property
    def answers(self) -> list[int]:
        """How many entries of the log there were when each answer was heard."""
        answers = (sending.acknowledged for sending in self.ledger.sendings)
        return [self.log.issued(answer) for answer in answers if answer is not None]


def record(folder: Path, **environment: str) -> Recording:
    """Let a box work on a recorded disk, until it is stopped.

    Raises `CannotRecord` where there cannot be such a disk.
    """
    site = Site.prepare(folder / "box")
    image, log = folder / "image", folder / "log"
    make_file_system(image, SIZE)
    ledger = Ledger(lambda: log.stat().st_size)
    with (
        recorded_disk(image, log) as disk,
        notify_socket(folder) as systemd,
        mounted(disk, site.data),
    ):
        worked = _Work(site, ledger, systemd, environment)
        try:
            worked.run()
        except BaseException as error:
            error.add_note(f"the box said: {site.log.read_text(errors='replace')[-3000:]}")
            raise
        finally:
            worked.end()
        key = load_or_create_key(site.data / "state/pseudonym.key")
        ledger.close(Deidentifier("basic", key).uid, worked.expired, worked.removed())
    return Recording(BlockLog(image, log), ledger, key)


def reference(folder: Path, key: bytes) -> Kept:
    """What a box that nobody cuts off keeps of all that a recorded one is sent."""
    site = Site.prepare(folder / "reference")
    (site.data / "state").mkdir()
    (site.data / "state/pseudonym.key").write_bytes(key)
    kept: dict[tuple[str, int], Stored] = {}
    with notify_socket(folder) as systemd:
        box = Process(site, systemd)
        try:
            box.await_ready()
            for contents in everything():
                _join(_send(site, Ledger(lambda: 0), contents))
                _await_rendered(site)
                kept.update(_kept(site, Deidentifier("basic", key), contents))
        finally:
            box.kill()
    return kept


def everything() -> tuple[list[Content], list[Content]]:
    """All that a recorded box is sent: first versions, and second ones."""
    first = [one for number in range(1, 10) for one in study(number, SLICES)]
    return first, study(2, SLICES // 2, version=1)


class _Work:
    """The life of a recorded box."""

    def __init__(
        self,
        site: Site,
        ledger: Ledger,
        systemd: NotifySocket,
        environment: Mapping[str, str],
    ) -> None:
        self._site = site
        self._settings = site.settings.read_text()
        self._ledger = ledger
        self._systemd = systemd
        self._environment = environment
        self._starts = 0
        self._box: Process | None = None
        self.expired: list[str] = []
        """What it had removed when it was first seen to."""

    def run(self) -> None:
        """From its first start to its last stop."""
        self._is_new()
        fill_log(self._site.data / "catalogue.sqlite")
        self._keeps_everything()
        self._drops_files()
        self._removes_studies()

    def end(self) -> None:
        """Kill it if it runs."""
        if self._box is not None:
            self._box.kill()

    def removed(self) -> list[str]:
        """The UIDs, as the box gives them, of what retention has removed."""
        rows = self._site.query("SELECT uid FROM instances WHERE file = 'expired'")
        return [uid for (uid,) in rows]

    def _is_new(self) -> None:
        self._start()
        self._store(study(9, SLICES))
        self.end()

    def _keeps_everything(self) -> None:
        self._start()
        four = [one for number in (1, 2, 3, 4) for one in study(number, SLICES)]
        self._store(four)
        _await_rendered(self._site)
        self._killed_while_sent = [*four[:: SLICES // 5], *study(5, SLICES)]
        enough = self._ledger.acknowledged + len(self._killed_while_sent) // 2
        threads = self._send(self._killed_while_sent)
        _await(lambda: self._ledger.acknowledged > enough)
        self.end()
        _join(threads)

    def _drops_files(self) -> None:
        """What it holds comes as it was and changed, and new; and what it has dropped, again."""
        self._ledger.dropping_from = self._ledger.now()
        self._start(images="keep_dicom = false")
        self._store([*self._killed_while_sent, *study(1, SLICES)])
        self._store([*study(2, SLICES // 2, version=1), *study(6, SLICES)])
        _await_rendered(self._site)
        self._store([*study(6, SLICES // 2), *study(7, SLICES)])
        self.end()

    def _removes_studies(self) -> None:
        """While others come, and some of what was removed comes again."""
        self._ledger.expiring_from = self._ledger.now()
        self._start(storage='quota = "1 MiB"')
        threads = self._send(study(8, SLICES))
        _await(lambda: bool(self._site.query("SELECT 1 FROM events WHERE subject = 'storage'")))
        self.expired = self.removed()
        self._ledger.expired_at = self._ledger.now()
        _join(threads)
        self._store([*study(1, SLICES // 4), *study(2, SLICES // 4, version=1)])
        _await_rendered(self._site)
        assert self._box is not None
        assert self._box.stop() == 0

    def _start(self, **changes: str) -> None:
        text = self._settings
        for section, line in changes.items():
            text = text.replace(f"[{section}]\n", f"[{section}]\n{line}\n")
        self._site.settings.write_text(text)
        self._box = Process(self._site, self._systemd, verbose=False, **self._environment)
        self._starts += 1
        self._box.await_ready(self._starts)

    def _send(self, contents: Sequence[Content]) -> list[threading.Thread]:
        return _send(self._site, self._ledger, contents)

    def _store(self, contents: Sequence[Content]) -> None:
        _join(self._send(contents))


def fill_log(catalogue: Path) -> None:
    """Make SQLite's log so long that the next commits begin it anew, in the same file.

    That is its usual state, and the hard one: while a file grows, each sync of it makes ext4 write
    down all the names, too, that were given meanwhile.
    """
    subprocess.run([sys.executable, "-c", FILL, catalogue], check=True)


def _send(site: Site, ledger: Ledger, contents: Sequence[Content]) -> list[threading.Thread]:
    """Send from several associations at a time; each ends when the box does."""

    def run(part: Sequence[Content]) -> None:
        try:
            with Sender(site.port) as sender:
                for one in part:
                    ledger.send(
                        one,
                        lambda one: sender.store_bytes(one.sop_class, one.instance, one.dataset),
                    )
        except OSError:
            return

    threads = [
        threading.Thread(target=run, args=(contents[place::SENDERS],)) for place in range(SENDERS)
    ]
    for thread in threads:
        thread.start()
    return threads


def _join(threads: Iterable[threading.Thread]) -> None:
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def _await_rendered(site: Site) -> None:
    _await(lambda: site.query("SELECT queued FROM totals") == [(0,)])


def _await(true: Callable[[], bool], seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def _kept(
    site: Site, deidentifier: Deidentifier, contents: Iterable[Content]
) -> dict[tuple[str, int], Stored]:
    files = {path.stem: path.read_bytes() for path in site.data.glob("dicom/*/*/*.dcm")}
    pictures: dict[str, dict[str, bytes]] = {}
    for path in site.data.glob("images/*/*/*"):
        uid = path.stem if path.stem in files else path.stem.rpartition(".")[0]
        pictures.setdefault(uid, {})[path.name] = path.read_bytes()
    uids = [(deidentifier.uid(one.instance), one.version) for one in contents]
    return {(uid, version): Stored(files[uid], pictures.get(uid, {})) for uid, version in uids}
