"""The order in which an instance becomes durable, in what Python calls and in what the kernel sees.

write → fdatasync → rename → fsync of the directory → commit (which syncs the log) → return
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.archive.catalogue import Catalogue
from appliance.archive.files import Folders, PendingFile
from tests.unit.archive.material import instance

STORE = """
import os, sys
from pathlib import Path
from appliance.archive.catalogue import Catalogue, StoredInstance
from appliance.archive.files import Folders, PendingFile

folders = Folders(Path(sys.argv[1]))
folders.prepare()
catalogue = Catalogue.open(folders.catalogue)
for number in range(3):
    uid = f"2.25.1.{number}"
    pending = PendingFile.create(folders.dicom_file("2.25.1", "2.25.2", uid))
    pending.write([b"header", b"pixels"])
    directories = pending.settle()
    row = StoredInstance(
        uid, "2.25.2", "2.25.1", "1.2", "1.2", "CT", 1, 1, True, 12, "pacs", None
    )
    catalogue.store(row, directories)
    os.write(1, f"acknowledged {uid}".encode())
"""


def test_the_order_of_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = Folders(tmp_path)
    folders.prepare()
    catalogue = Catalogue.open(folders.catalogue)
    calls: list[str] = []
    uid = instance(1).instance
    final = folders.dicom_file("2.25.1", "2.25.2", uid)

    def record(name: str, argument: int) -> None:
        really = getattr(os, name)

        def call(*arguments: object) -> object:
            done = really(*arguments)
            target = arguments[argument]
            path = os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else target
            name_ = re.sub(r"^\.(.*)\.[0-9a-f]{16}\.part$", r"part of \1", os.path.basename(path))
            calls.append(f"{name} {name_}")
            return done

        monkeypatch.setattr(os, name, call)

    with monkeypatch.context() as monkeypatch:
        for name, argument in (("writev", 0), ("fdatasync", 0), ("rename", 1), ("fsync", 0)):
            record(name, argument)
        catalogue._connection.set_trace_callback(
            lambda statement: calls.append(statement) if statement.isupper() else None
        )
        pending = PendingFile.create(final)
        pending.write([b"header", b"pixels"])
        catalogue.store(instance(1, study="2.25.1", series="2.25.2"), pending.settle())
        calls.append("return")
    catalogue._connection.set_trace_callback(None)
    catalogue.close()
    assert calls == [
        f"writev part of {uid}.dcm",
        f"fdatasync part of {uid}.dcm",
        f"rename {uid}.dcm",
        *(f"fsync {name}" for name in calls_of_directories(calls)),
        "BEGIN IMMEDIATE",
        "COMMIT",
        "return",
    ]
    assert calls_of_directories(calls)[0] in ("2.25.2", "2.25.1", "dicom")
    assert set(calls_of_directories(calls)) == {"2.25.2", "2.25.1", "dicom", tmp_path.name}


def calls_of_directories(calls: list[str]) -> list[str]:
    return [call.removeprefix("fsync ") for call in calls if call.startswith("fsync ")]


def test_the_order_in_the_kernel(tmp_path: Path) -> None:
    """What strace saw of three stores, the log's own sync among it."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed: apt-get install strace")
    trace = tmp_path / "trace"
    ran = subprocess.run(
        [
            *(strace, "-f", "-y", "-qq", "-o", trace),
            *("-e", "trace=writev,pwrite64,write,fdatasync,fsync,rename"),
            *(sys.executable, "-c", STORE, tmp_path / "data"),
        ],
        capture_output=True,
        text=True,
    )
    if "ptrace" in ran.stderr or "Operation not permitted" in ran.stderr:
        pytest.skip(f"strace may not trace here: {ran.stderr.splitlines()[0]}")
    assert ran.returncode == 0, ran.stderr
    seen = [step for step in map(step_of, trace.read_text().splitlines()) if step]
    acknowledged = [at for at, step in enumerate(seen) if step.startswith("acknowledged")]
    assert len(acknowledged) == 3
    begin = 0
    for number, end in enumerate(acknowledged):
        file = f"2.25.1.{number}.dcm"
        must = [
            f"write {file}",
            f"sync {file}",
            f"rename {file}",
            "sync directory",
            "write log",
            "sync log",
        ]
        assert in_order(seen[begin:end], must) == must, seen[begin:end]
        tail = seen[begin : end + 1][-2:]
        assert tail == ["sync log", f"acknowledged 2.25.1.{number}"], "nothing after the sync"
        begin = end + 1


def step_of(line: str) -> str:
    """What a line of strace's means here; empty if nothing."""
    if "<unfinished" in line:
        line += ") = 0"  # It began here, and ends in a line of its own that names no file.
    part = re.search(r"(writev|fdatasync)\(\d+<.*/\.(2\.25\.1\.\d\.dcm)\.[0-9a-f]+\.part>", line)
    if part:
        return {"writev": "write ", "fdatasync": "sync "}[part[1]] + part[2]
    if renamed := re.search(r'rename\(".*\.part", ".*/(2\.25\.1\.\d\.dcm)"\)', line):
        return f"rename {renamed[1]}"
    if re.search(r"fsync\(\d+<.*/dicom/2\.25\.1/2\.25\.2>", line):
        return "sync directory"
    if log := re.search(r"(pwrite64|fdatasync|fsync)\(\d+<.*catalogue\.sqlite-wal>", line):
        return "write log" if log[1] == "pwrite64" else "sync log"
    if told := re.search(r'write\(1<.*"acknowledged ([\d.]+)"', line):
        return f"acknowledged {told[1]}"
    return ""


def in_order(seen: list[str], must: list[str]) -> list[str]:
    """As much of `must` as occurs in `seen`, in that order."""
    steps = iter(seen)
    return [step for step in must if step in steps]
