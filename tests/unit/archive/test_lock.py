import os
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.archive.catalogue import Catalogue, CatalogueInUse
from appliance.archive.files import Folders
from appliance.archive.lock import WriterLock


def test_a_second_writer_is_refused_by_the_firsts_number(tmp_path: Path) -> None:
    lock = WriterLock.take(tmp_path / "lock")
    with pytest.raises(CatalogueInUse, match=rf"process {os.getpid()} is writing"):
        WriterLock.take(tmp_path / "lock")
    lock.release()
    lock.release()
    WriterLock.take(tmp_path / "lock").release()


def test_another_process_is_refused_too(folders: Folders, catalogue: Catalogue) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from appliance.archive.catalogue import Catalogue, CatalogueInUse\n"
        "try: Catalogue.open(Path(sys.argv[1]))\n"
        "except CatalogueInUse as error: print(error)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, folders.catalogue], capture_output=True, text=True
    )
    assert f"process {os.getpid()} is writing" in ran.stdout, ran.stderr


def test_a_forked_child_does_not_keep_the_lock_of_a_dead_parent(tmp_path: Path) -> None:
    lock = WriterLock.take(tmp_path / "lock")
    child_waits, parent_tells = os.pipe()
    parent_waits, child_tells = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(parent_tells)
        os.write(child_tells, b"!")
        os.read(child_waits, 1)
        os._exit(0)
    try:
        os.read(parent_waits, 1)
        with pytest.raises(CatalogueInUse):
            WriterLock.take(tmp_path / "lock")
        lock.release()
        WriterLock.take(tmp_path / "lock").release()
    finally:
        for descriptor in (child_waits, parent_tells, parent_waits, child_tells):
            os.close(descriptor)
        os.waitpid(child, 0)


def test_closing_the_catalogue_gives_the_lock_up(folders: Folders) -> None:
    for _ in range(2):
        Catalogue.open(folders.catalogue).close()
