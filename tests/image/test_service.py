"""The box at its work: it fetches and receives, and comes back from whatever stops it."""

import io
import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from appliance.health.budget import RESTARTS, WITHIN
from tests.image.calling import Modality, echoes
from tests.image.clinic import Clinic
from tests.image.figures import Figures
from tests.image.hardware import hardware
from tests.image.lockup import lock_up
from tests.image.patience import START_WITHIN, until
from tools.hospital.box import TITLE
from tools.hospital.peers import PeerAbsent, dcmqrscp, program
from tools.hospital.sender import Node
from tools.hospital.volume import SIDE, Study, write
from tools.imaging.build import Build
from tools.imaging.machine import DICOM_PORT, Machine, copy_disk

SLICES = 6
MODALITIES = 2
"""That send at the same time, so that instances are committed together."""

PATIENT = {
    rf"dev-disk-by\x2dpartlabel-{name}.device": "[Unit]\nJobRunningTimeoutSec=5min\n"
    for name in ("state", "data")
}
"""A virtual disk is no broken one because the machine around it is busy for a minute."""

HUNG_TARGET = 60.0
"""Seconds from a hung AE to the next answer, on a machine that does nothing else."""
BUSY = 4
"""How much slower a machine may be that does do something else."""


@pytest.fixture(scope="module")
def clinic(image: Build, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """A box that is switched on and has no settings yet, beside a PACS with a study."""
    try:
        program("dcmqrscp")
    except PeerAbsent as absent:
        pytest.skip(str(absent))
    folder = tmp_path_factory.mktemp("clinic")
    disk = copy_disk(image.disk, folder / "disk.img")
    machine = Machine(disk, folder, hardware(units=PATIENT))
    files = write(Study(slices=SLICES), folder / "slices")
    box = Node(TITLE, machine.ports[DICOM_PORT])
    with dcmqrscp(folder, [box], files, options=("-v",)) as pacs, machine:
        clinic = Clinic(machine, pacs, folder)
        clinic.started()
        yield clinic


@pytest.fixture(scope="module")
def slices(clinic: Clinic) -> list[Path]:
    """What the modality sends; the PACS has the same pixels."""
    return sorted((clinic.folder / "slices").glob("*.dcm"))


@pytest.fixture(scope="module")
def serving(clinic: Clinic, figures: Figures) -> Clinic:
    """The clinic after a stick was plugged into the box."""
    assert not echoes(clinic.node)
    assert clinic.health()[1]["name"] == "unprovisioned"
    clinic.plug(revision=1)
    figures.note("seconds from plug to C-ECHO", clinic.serves())
    clinic.accepted(revision=1)  # A trial that fails would take the AE away again.
    return clinic


def test_settings_on_a_stick_make_it_serve(serving: Clinic) -> None:
    assert serving.health()[1]["provisioned"] is True


def test_a_study_comes_from_the_pacs_and_becomes_pictures(
    serving: Clinic, figures: Figures
) -> None:
    def complete() -> bool:
        counts = serving.counts()
        wanted = {"instances": SLICES, "rendered": SLICES, "outstanding": 0, "queued": 0}
        return {name: counts.get(name) for name in wanted} == wanted

    until("the study is held and rendered", complete)
    figures.note_since_power("the pictures of the first study", serving.machine)
    status, said = serving.health()
    assert (status, said["service"]["counts"]["failed"]) == (200, 0)
    assert ": C-MOVE RQ" in serving.pacs.log.read_text(errors="replace")
    pictures = serving.machine.run("find /data/archive/images -name '*.jpg' -size +8k | wc -l")
    assert pictures == str(SLICES)
    mapped = serving.deidentifier()
    study = Study(slices=SLICES)
    (shown,) = json.loads(serving.fetch("/dicomweb/studies"))
    uid = shown["0020000D"]["Value"][0]
    assert shown["00201208"]["Value"] == [SLICES]
    instance = json.loads(serving.fetch(f"/dicomweb/studies/{uid}/instances"))[0]
    address = "/dicomweb" + instance["00081190"]["Value"][0].partition("/dicomweb")[2]
    for what, largest in (("thumbnail", 128), ("rendered", SIDE)):
        with Image.open(io.BytesIO(serving.fetch(f"{address}/{what}"))) as picture:
            assert (picture.format, picture.mode) == ("JPEG", "L")
            assert max(picture.size) <= largest
    assert serving.held().keys() == {
        mapped.uid(study.sop_instance_uid(number)) for number in range(1, SLICES + 1)
    }


def test_an_ae_that_hangs_is_replaced(serving: Clinic, figures: Figures) -> None:
    before, restarts = serving.service("MainPID"), int(serving.service("NRestarts"))
    serving.machine.run(f"kill -STOP {before}")
    assert not echoes(serving.node, within=2)
    seconds = serving.serves()
    figures.note("seconds from a hung AE to C-ECHO", seconds)
    assert serving.service("MainPID") != before
    assert int(serving.service("NRestarts")) == restarts + 1
    assert "Watchdog timeout" in serving.machine.run(
        "journalctl --boot --no-pager --unit netty-ae.service --grep 'watchdog timeout'"
    )
    assert seconds <= BUSY * HUNG_TARGET


def test_an_ae_that_is_killed_comes_back(serving: Clinic, figures: Figures) -> None:
    before, restarts = serving.service("MainPID"), int(serving.service("NRestarts"))
    serving.machine.run(f"kill -KILL {before}")
    figures.note("seconds from a killed AE to C-ECHO", serving.serves())
    assert serving.service("MainPID") not in (before, "0")
    assert int(serving.service("NRestarts")) == restarts + 1


def cut_and_compare(serving: Clinic, slices: list[Path], cuts: int, seed: int) -> int:
    """Cut the power `cuts` times while the box receives; return how much was acknowledged.

    After each start everything that was ever acknowledged must be there, pixel by pixel, and
    nothing that was not sent.
    """
    chance = random.Random(seed)
    print(f"moments of the cuts: seed {seed}")
    mapped = serving.deidentifier()
    acknowledged, offered = dict(serving.held()), dict(serving.held())
    for cut in range(cuts):
        modalities = [
            Modality(serving.node, slices, f"2.25.{seed}.{cut}.{number}")
            for number in range(MODALITIES)
        ]
        wanted = chance.randint(4, 24)
        for modality in modalities:
            modality.start()
        until(
            f"the box takes {wanted} instances",
            lambda wanted=wanted, senders=modalities: (  # type: ignore[misc]
                sum(len(each.acknowledged) for each in senders) >= wanted
            ),
        )
        time.sleep(chance.uniform(0, 0.5))
        serving.machine.power_cut()
        for modality in modalities:
            modality.end()
            assert modality.refused == []
            acknowledged |= {mapped.uid(uid): d for uid, d in modality.acknowledged.items()}
            offered |= {mapped.uid(uid): d for uid, d in modality.offered.items()}
        serving.start()
        held = serving.held()
        lost = acknowledged.keys() - held.keys()
        assert not lost, f"cut {cut}: {len(lost)} of {len(acknowledged)} acknowledged are lost"
        assert held.items() <= offered.items(), f"cut {cut}: something else than was sent is held"
        status = serving.status()
        assert (status["instances"], status["missing"]) == (len(held), 0)
        assert serving.files() == held.keys(), f"cut {cut}: files without a row, or half ones"
    return len(acknowledged)


def test_what_was_acknowledged_survives_power_cuts(
    serving: Clinic, slices: list[Path], figures: Figures
) -> None:
    count = cut_and_compare(serving, slices, cuts=2, seed=time.time_ns())
    figures.note("instances acknowledged before power cuts and there after them", count)


@pytest.mark.slow
def test_what_was_acknowledged_survives_many_power_cuts(
    serving: Clinic, slices: list[Path], figures: Figures
) -> None:
    count = cut_and_compare(serving, slices, cuts=20, seed=time.time_ns())
    figures.note("instances acknowledged before 20 power cuts and there after them", count)


def one_more(clinic: Clinic, slices: list[Path]) -> None:
    """Have the box take an instance that it did not have."""
    modality = Modality(clinic.node, slices[:1], f"2.25.{time.time_ns()}")
    modality.send(most=1)
    assert len(modality.acknowledged) == 1


@pytest.mark.slow
def test_a_deadlocked_renderer_is_replaced(
    serving: Clinic, slices: list[Path], figures: Figures
) -> None:
    ae = serving.service("MainPID")

    def renderers() -> set[str]:
        find = f"pgrep --parent {ae} --full appliance.images.worker || true"
        return set(serving.machine.run(find).split())

    one_more(serving, slices)
    until("a renderer is started", lambda: bool(renderers()))
    until("its picture is made", lambda: serving.counts().get("queued") == 0)
    (stopped,) = renderers()
    serving.machine.run(f"kill -STOP {stopped}")
    rendered = serving.status()["rendered"]
    one_more(serving, slices)
    seconds = until("the picture", lambda: serving.counts().get("rendered", 0) > rendered)
    figures.note("seconds from a deadlocked renderer to the picture", seconds)
    assert serving.counts()["queued"] == serving.counts()["failed"] == 0
    assert stopped not in renderers()
    assert serving.service("MainPID") == ae


@dataclass(frozen=True, slots=True)
class Mishap:
    """Something that only a reset of the whole box ends."""

    name: str
    happens: Callable[[Machine], object]
    counted: str
    """The cause that the box writes down afterwards."""


_PANIC = "(sleep 1; echo c > /proc/sysrq-trigger) &"

MISHAPS = (
    Mishap("the kernel panics", lambda box: box.run(_PANIC), "panic of the kernel"),
    Mishap(
        "the kernel panics without a trace",
        lambda box: box.run(f"modprobe --remove efi_pstore; {_PANIC}"),
        "reset by the watchdog",
    ),
    Mishap(
        "PID 1 is frozen",
        lambda box: box.run("echo 1 > /sys/fs/cgroup/init.scope/cgroup.freeze"),
        "reset by the watchdog",
    ),
    Mishap("the kernel locks up", lock_up, "reset by the watchdog"),
)


@pytest.mark.slow
def test_a_box_that_stands_still_is_reset_and_one_that_does_so_again_is_left_alone(
    serving: Clinic, figures: Figures
) -> None:
    serving.machine.power_cut()
    serving.start()
    assert serving.restarts() == []
    for count, mishap in enumerate(MISHAPS, 1):
        boot, begun = serving.boot, time.monotonic()
        mishap.happens(serving.machine)
        reset = serving.machine.monitor.event("WATCHDOG", START_WITHIN, begun)
        figures.note(f"seconds to the reset when {mishap.name}", round(reset.time - begun, 1))
        serving.started()
        assert serving.boot != boot
        until("it is counted", lambda count=count: len(serving.restarts()) == count)  # type: ignore[misc]
        if count == 1:
            serving.serves()
            figures.note(
                f"seconds to C-ECHO when {mishap.name}", round(time.monotonic() - begun, 1)
            )
    restarts = serving.restarts()
    assert [restart["cause"] for restart in restarts] == [mishap.counted for mishap in MISHAPS]
    # On a machine that is slow enough, they are too far apart to be too many.
    near = restarts[-1]["at"] - restarts[-RESTARTS]["at"] <= WITHIN
    serving.is_left_alone() if near else serving.serves()

    # A human who switches it off and on gives it another chance.
    serving.machine.power_cut()
    serving.start()
    assert serving.health()[0] == 200


@pytest.mark.slow
def test_an_ae_that_crashes_again_and_again_is_left_alone_until_settings_change(
    serving: Clinic,
) -> None:
    boot = serving.boot
    for _ in range(RESTARTS):
        serving.serves()
        serving.machine.run(f"kill -SEGV {serving.service('MainPID')}")
        until("SIGSEGV ends the AE", lambda: not echoes(serving.node, within=2))
    serving.is_left_alone()
    assert serving.boot == boot
    serving.plug(revision=2)
    serving.serves()
    serving.accepted(revision=2)
