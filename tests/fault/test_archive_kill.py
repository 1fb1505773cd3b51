"""kill -9 while instances are stored, rendered and dropped: what was acknowledged is there."""

import os
import random
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from appliance.archive.catalogue import Catalogue
from appliance.archive.files import Folders
from appliance.archive.recovery import Report, open_recovered, recover
from tests.unit.archive.material import dicom_file, instance, picture

ROUNDS = 24
STUDY, SERIES = "2.25.1", "2.25.1.1"
PLACEHOLDER = "2.25.9999999999"
"""As long as every UID of an instance here, so that it can be replaced in a finished file."""

STORE = """
import os, sys, threading
from pathlib import Path
from appliance.archive.catalogue import Catalogue, PictureRow, RenderOutcome, StoredInstance
from appliance.archive.files import Folders, PendingFile

data, begin, placeholder, template, drawn = sys.argv[1:]
template, drawn = Path(template).read_bytes(), Path(drawn).read_bytes()
folders = Folders(Path(data))
catalogue = Catalogue.open(folders.catalogue)

def store(thread):
    number = int(begin) + thread
    while True:
        uid = f"2.25.{number}"
        number += 4
        # Every third comes twice, at the same time, from two threads.
        for _ in range(2 if number % 3 == 0 else 1):
            with PendingFile.create(folders.dicom_file("2.25.1", "2.25.1.1", uid)) as pending:
                content = template.replace(placeholder.encode(), uid.encode())
                pending.write([content[:200], content[200:]])
                row = StoredInstance(uid, "2.25.1.1", "2.25.1", "1.2.840.10008.5.1.4.1.1.2",
                    "1.2.840.10008.1.2", "CT", 1, 1, True, pending.size, "pacs", None)
                catalogue.store(row, pending.settle())
            os.write(1, f"{uid}\\n".encode())

def render():
    while True:
        outcomes = []
        for job in catalogue.next_renders(8):
            path = folders.picture(job.study, job.series, job.instance, None, ".jpg")
            with PendingFile.create(path) as pending:
                pending.write([drawn])
                pending.settle()
            drop = int(job.instance[-1]) % 2 == 0
            row = PictureRow(None, 5, 3, len(drawn))
            outcomes.append(RenderOutcome(job, "rendered", "", (row,), drop))
        catalogue.finish_renders(outcomes)

for target, arguments in [(store, (n,)) for n in range(4)] + [(render, ())]:
    threading.Thread(target=target, args=arguments, daemon=True).start()
threading.Event().wait()
"""


def run_until_killed(arguments: list[object], seconds: float) -> list[str]:
    """Starts a process, kills it some time after its first line; the lines that it wrote whole."""
    process = subprocess.Popen(
        [sys.executable, "-c", STORE, *map(str, arguments)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    said = b""
    deadline = time.monotonic() + 30
    while not said:
        assert select.select([process.stdout], [], [], deadline - time.monotonic())[0]
        said = os.read(process.stdout.fileno(), 65536)
        assert said, "it ended by itself"
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if select.select([process.stdout], [], [], left)[0]:
            said += os.read(process.stdout.fileno(), 65536)
    process.send_signal(signal.SIGKILL)
    said += process.stdout.read()
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    return re.findall(r"^(.+)\n", said.decode(), re.MULTILINE)


def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path: Path) -> None:
    folders = Folders(tmp_path / "data")
    folders.prepare()
    template, drawn = tmp_path / "template", tmp_path / "drawn"
    described = instance(1, instance=PLACEHOLDER, study=STUDY, series=SERIES)
    template.write_bytes(dicom_file(described))
    drawn.write_bytes(picture(".jpg", 5, 3))
    chance = random.Random(20)
    acknowledged: set[str] = set()
    done = []
    for round_ in range(ROUNDS):
        arguments = [folders.data, 10**9 + round_ * 10**6, PLACEHOLDER, template, drawn]
        told = run_until_killed(arguments, chance.uniform(0.0, 0.12))
        assert not acknowledged.intersection(told)
        acknowledged.update(told)
        # Recovery adopts files without rows, so it would hide an answer that came too early.
        reader = Catalogue.open_read_only(folders.catalogue)
        assert set(told) <= reader.held(STUDY)
        reader.close()

        catalogue = open_recovered(folders)
        try:
            done.append(catalogue.status().events[0].text if catalogue.status().events else "")
            assert_whole(folders, catalogue, acknowledged, template.read_bytes())
            assert recover(folders, catalogue) == Report(), "one recovery is enough"
        finally:
            catalogue.close()
    assert len(acknowledged) > 10 * ROUNDS
    assert any("half files" in text for text in done), "the kills came at quiet moments only"


def assert_whole(
    folders: Folders, catalogue: Catalogue, acknowledged: set[str], template: bytes
) -> None:
    rows = catalogue.instances(STUDY)
    uids = [row.instance for row in rows]
    assert len(uids) == len(set(uids)), "a second row"
    assert acknowledged <= catalogue.held(STUDY)
    assert not [name for name in folders.data.rglob("*") if name.name.endswith(".part")]
    assert not folders.quarantine.exists()
    for row in rows:
        path = folders.dicom_file(STUDY, SERIES, row.instance)
        assert row.file in ("held", "dropped")
        if row.file == "held":
            content = template.replace(PLACEHOLDER.encode(), row.instance.encode())
            assert path.read_bytes() == content
        else:
            assert not path.exists()
        if row.picture == "rendered":
            (drawn,) = row.pictures
            made = folders.picture(STUDY, SERIES, row.instance, None, drawn.suffix)
            assert made.stat().st_size == drawn.bytes > 0
