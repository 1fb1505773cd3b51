"""What a box answers RAUC when it asks whether it may install a bundle."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from appliance.health.reports import (
    SERVICE,
    UPDATE,
    ServiceReport,
    UpdateReport,
    read_report,
    write_report,
)
from appliance.provisioning.activation import CommandFailed, CommandUnfinished
from appliance.provisioning.serial import DMI
from appliance.settings.model import Fleet, Settings, Update
from appliance.updates.admission import AlreadyInstalled, Refused
from appliance.updates.boot_state import BootStates
from appliance.updates.installation import REFUSAL, TOLD, Refusal
from appliance.updates.release import Bundle, Release, Schema
from appliance.updates.requests import FOLDER, UpdateRequest, ask
from appliance.updates.reset import TOKEN, make_token
from appliance.updates.slots import Slot
from appliance.updating import FLEET_CLIENT, NotGood, UpdatingBox

HERE = Release("1.2.0", "abc", Schema(1, 1), Schema(1, 1))
ROOT, OTHER = "1" * 64, "2" * 64


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UpdatingBox:
    """A box of version 1.2.0 that was started from slot a and is on its network."""
    files = {
        "proc/cmdline": f'rauc.slot=a dm-mod.create="x sha256 {ROOT} 00"\n',
        "usr/lib/netty/release.json": HERE.write(),
        "run/systemd/netif/links/2": "ADMIN_STATE=configured\nOPER_STATE=routable\n",
        "run/systemd/netif/links/1": "OPER_STATE=carrier\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for folder in ("run/netty-update", "run/netty-ae"):
        (tmp_path / folder).mkdir()
    monkeypatch.setattr("appliance.updating.REPORT_EVERY", 0.0)
    return UpdatingBox(tmp_path, tmp_path / "run")


def asked(root_hash: str = OTHER, version: str = "1.3.0") -> dict[str, str]:
    """RAUC's variables."""
    release = Release(version, "def", Schema(1, 1), Schema(1, 1))
    meta = Bundle(release, root_hash).release.meta(root_hash)
    return {
        f"RAUC_META_NETTY_{name.upper().replace('-', '_')}": text for name, text in meta.items()
    }


def test_what_is_taken_is_written_down_before_a_byte_of_it_is(box: UpdatingBox) -> None:
    box.admit(asked())
    trial = box.record.trial(Slot("b"))
    assert trial is not None
    assert (trial.version, trial.before, trial.stage) == ("1.3.0", "1.2.0", "writing")
    assert trial.network
    box.primary_changes(["set-primary", "b"])
    written = json.loads((box.record.folder / "trial-b.json").read_text())
    assert written["stage"] == "installed"


def test_while_it_is_written_it_is_told_what_changes(box: UpdatingBox) -> None:
    box.admit(asked())
    report = read_report(box.run / UPDATE, UpdateReport)
    sentence = "Version 1.3.0 (build def) takes the place of 1.2.0 (build abc) when the box "
    assert report.phase == "writing"
    assert report.sentence.startswith(sentence)


@dataclass
class FleetServer:
    """What the client of a fleet's server does on the box; stands in for the program."""

    box: UpdatingBox
    offers: bool = True
    asked: list[tuple[str, ...]] = field(default_factory=list)
    seen: list[tuple[str, bool]] = field(default_factory=list)
    """The phase that health was told, and whether arriving images mattered."""

    def client(self, words: Sequence[str]) -> tuple[int, str]:
        """Have what is offered installed, as RAUC does it."""
        self.asked.append(tuple(words))
        if self.offers:
            self.box.admit(asked())
            told = (self.box.run / TOLD).exists()
            self.seen.append((read_report(self.box.run / UPDATE, UpdateReport).phase, told))
            self.box.primary_changes(["set-primary", "b"])
        return 0, "Checking for new software..."


@pytest.fixture
def fleet(box: UpdatingBox, monkeypatch: pytest.MonkeyPatch) -> FleetServer:
    """A fleet's server that offers something, named in the settings."""
    settings = Settings(1, fleet=Fleet("https://hawkbit.example", "token"))
    monkeypatch.setattr(UpdatingBox, "settings", lambda _: settings)
    write_report(box.run / UPDATE, UpdateReport("rolled back", "Before."))
    return FleetServer(box)


def test_what_a_fleets_server_offers_is_installed_and_started(fleet: FleetServer) -> None:
    assert replace(fleet.box, rauc=fleet.client).ask_fleet()
    assert fleet.asked == [FLEET_CLIENT]
    assert fleet.seen == [("writing", False)]
    assert read_report(fleet.box.run / UPDATE, UpdateReport).sentence == "Before."


def test_a_box_is_not_restarted_for_nothing(fleet: FleetServer) -> None:
    fleet.offers = False
    assert not replace(fleet.box, rauc=fleet.client).ask_fleet()
    assert len(fleet.asked) == 1


def test_a_fleets_server_is_not_asked_while_images_arrive(
    fleet: FleetServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would hold a refusal for the end of the matter."""
    monkeypatch.setattr(UpdatingBox, "_arriving", lambda _: True)
    box = replace(fleet.box, rauc=fleet.client)
    assert not box.ask_fleet()
    assert not fleet.asked
    settings = Settings(
        1, fleet=Fleet("https://a.example", "b"), update=Update(while_receiving=True)
    )
    monkeypatch.setattr(UpdatingBox, "settings", lambda _: settings)
    assert box.ask_fleet()
    assert fleet.seen == [("writing", True)]


def test_without_a_fleets_server_none_is_asked(
    fleet: FleetServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UpdatingBox, "settings", lambda _: Settings(1))
    assert not replace(fleet.box, rauc=fleet.client).ask_fleet()
    assert not fleet.asked


def on_trial(box: UpdatingBox, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs is on trial, and does its work."""
    bundle = Bundle(HERE, ROOT)
    box.record.begin(Slot("a"), bundle, "1.1.0", network=True)
    monkeypatch.setattr(BootStates, "read", lambda *_: None)
    monkeypatch.setattr(UpdatingBox, "_try", lambda *_, **__: None)


def test_a_version_that_does_its_work_is_called_good(
    box: UpdatingBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RAUC is told, and not asked: its answer takes longer than D-Bus waits on a slow box."""
    on_trial(box, monkeypatch)
    told: list[tuple[str, ...]] = []

    def rauc(words: Sequence[str]) -> tuple[int, str]:
        told.append(tuple(words))
        return 0, 'ss "root.0" "marked slot root.0 as good"'

    replace(box, rauc=rauc).confirm(1.0)
    (words,) = told
    assert words[:3] == ("busctl", "call", "--timeout=10min")
    assert words[-4:] == ("Mark", "ss", "good", "booted")
    assert box.record.trial(Slot("a")) is None
    assert box.record.floor == "1.2.0"


def test_settings_of_a_stick_wait_until_the_version_has_proved_itself(box: UpdatingBox) -> None:
    """The version before, if it returns, might not know all that is in them."""
    box.record.begin(Slot("a"), Bundle(HERE, ROOT), "1.1.0", network=True)
    pauses: list[float] = []

    def prove(pause: float) -> None:
        pauses.append(pause)
        if len(pauses) == 3:
            box.record.confirm(Slot("a"), HERE)

    box.await_proof(prove)
    assert len(pauses) == 3
    box.record.begin(Slot("b"), Bundle(HERE, ROOT), "1.2.0", network=True)
    box.await_proof(prove)
    assert len(pauses) == 3, "what runs is not on trial"
    (box.root / "proc/cmdline").unlink()
    box.await_proof(prove)


@dataclass
class Disk:
    """The disk of the images, which is there once systemd has started it, or not."""

    outcome: CommandFailed | None = None
    there: bool = False
    started: list[str] = field(default_factory=list)

    def run(self, words: Sequence[str]) -> None:
        self.started.append(words[-1])
        if words[-1] == "data.mount" and self.outcome is not None:
            raise self.outcome
        self.there = True


def tried(
    box: UpdatingBox, disk: Disk, monkeypatch: pytest.MonkeyPatch, *, answers: bool
) -> list[str]:
    """Try a version; what was asked whether it answers."""
    asked: list[str] = []

    def ae(settings: Settings) -> object:
        asked.append("ae")
        return None if answers else "dead"

    class Page:
        def __call__(self, settings: Settings) -> None:
            asked.append("page")

    monkeypatch.setattr("appliance.updating.run_command", disk.run)
    monkeypatch.setattr("appliance.updating.os.path.ismount", lambda _: disk.there)
    monkeypatch.setattr("appliance.updating.ae_answers", ae)
    monkeypatch.setattr("appliance.updating.PageAnswers", Page)
    monkeypatch.setattr(UpdatingBox, "settings", lambda _: Settings(1))
    box._try(0.0, network=False)
    return asked


def test_a_trial_waits_for_the_disk_of_the_images(
    box: UpdatingBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power cut it is checked for minutes; meanwhile nobody could ask the AE."""
    disk = Disk()
    assert tried(box, disk, monkeypatch, answers=True) == ["ae", "page"]
    assert disk.started == ["data.mount", "netty-proof.service"]
    with pytest.raises(NotGood, match="DICOM service"):
        tried(box, Disk(), monkeypatch, answers=False)


def test_a_version_is_not_blamed_for_a_broken_disk(
    box: UpdatingBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(CommandFailed("data.mount: dependency failed"))
    assert tried(box, disk, monkeypatch, answers=False) == ["page"]
    assert disk.started == ["data.mount"]


def test_a_disk_whose_check_never_ends_ends_the_trial(
    box: UpdatingBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotGood, match="does not end"):
        tried(box, Disk(CommandUnfinished("systemctl")), monkeypatch, answers=True)


def test_a_version_that_cannot_be_updated_any_more_is_not_kept(
    box: UpdatingBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_trial(box, monkeypatch)
    with pytest.raises(NotGood):
        replace(box, rauc=lambda _: (1, "Call failed: Timeout was reached")).confirm(1.0)
    trial = box.record.trial(Slot("a"))
    assert trial is not None
    assert trial.failure == "It could not be updated any more."
    assert box.record.floor == ""


@pytest.mark.parametrize(
    ("environment", "kind", "sentence"),
    [
        (asked(ROOT), AlreadyInstalled, "runs version 1.2.0 of this bundle already"),
        (asked(version="1.1"), Refused, "older than 1.2.0"),
    ],
)
def test_what_is_refused_is_told(
    box: UpdatingBox, environment: dict[str, str], kind: type[Refused], sentence: str
) -> None:
    with pytest.raises(kind):
        box.admit(environment)
    refusal = read_report(box.run / REFUSAL, Refusal)
    assert sentence in refusal.sentence
    assert refusal.already == (kind is AlreadyInstalled)
    assert box.record.trial(Slot("b")) is None


def test_images_that_arrive_are_seen(box: UpdatingBox, monkeypatch: pytest.MonkeyPatch) -> None:
    count = iter(range(10, 20))

    def one_more(_: float) -> None:
        report = ServiceReport(0.0, counts={"instances": next(count)})
        write_report(box.run / SERVICE, report)

    monkeypatch.setattr("appliance.updating.time.sleep", one_more)
    with pytest.raises(Refused, match="Images are being received"):
        box.admit(asked())
    (box.run / TOLD).touch()
    box.admit(asked())


@dataclass(frozen=True)
class Folder:
    """A folder that stands for the volume of a stick."""

    device: Path

    @contextmanager
    def mounted(self, point: Path, *, writable: bool = False) -> Iterator[Path]:
        yield self.device


@pytest.fixture
def stick(box: UpdatingBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stick in the box, which has a serial number."""
    (tmp_path / "sys/class/dmi/id").mkdir(parents=True)
    (tmp_path / DMI).write_text("NB-0001\n")
    folder = tmp_path / "stick"
    folder.mkdir()
    monkeypatch.setattr("appliance.updating.volume_on", Folder)
    return folder


def answered(stick: Path) -> dict[str, str]:
    answer: dict[str, str] = json.loads((stick / "netty-update-NB-0001.json").read_text())
    text = (stick / "netty-update-NB-0001.txt").read_bytes().decode("utf-8-sig")
    assert answer["sentence"] in text and "serial number: NB-0001\r\n" in text
    return answer


def test_an_order_to_reset_that_is_no_file_is_refused(box: UpdatingBox, stick: Path) -> None:
    (stick / TOKEN).mkdir()
    assert not box.take(stick)
    assert answered(stick)["outcome"] == "rejected"
    assert "is a folder" in answered(stick)["sentence"]
    assert not box.reset.order.exists()


def test_an_order_to_reset_is_found_whatever_the_case_of_its_name(
    box: UpdatingBox, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.updating.run_command", lambda _: None)
    (stick / TOKEN.upper()).write_bytes(make_token("NB-0001"))
    assert not box.take(stick)
    assert answered(stick)["outcome"] == "reset"


def test_an_order_to_reset_that_cannot_be_written_down_is_told(
    box: UpdatingBox, stick: Path
) -> None:
    (box.root / "state").mkdir()
    (box.root / "state/update").write_text("a file where the folder should be")
    (stick / TOKEN).write_bytes(make_token("NB-0001"))
    assert not box.take(stick)
    assert answered(stick)["outcome"] == "rejected"
    assert "could not write the order down" in answered(stick)["sentence"]


def test_a_box_with_damaged_settings_can_be_reset(
    box: UpdatingBox, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[tuple[str, ...]] = []
    monkeypatch.setattr("appliance.updating.run_command", called.append)
    settings = box.root / "state/settings"
    settings.mkdir(parents=True)
    (settings / "current").symlink_to("nowhere")
    (stick / TOKEN).write_bytes(make_token("NB-0001"))
    assert not box.take(stick)
    assert answered(stick)["outcome"] == "reset"
    assert called == [("systemctl", "start", "--no-block", "netty-reset.service")]
    assert box.reset.order.exists()


def test_a_stick_that_was_pulled_is_no_failure(box: UpdatingBox, tmp_path: Path) -> None:
    assert not box.take(tmp_path / "sda")


def test_a_bundle_that_the_page_was_sent_goes_whatever_comes_of_it(box: UpdatingBox) -> None:
    sent = box.root / "data/uploads/page.raucb"
    sent.parent.mkdir(parents=True)
    for outcome in (0, 1):
        sent.write_bytes(b"hsqs")
        (box.run / FOLDER).mkdir(parents=True, exist_ok=True)
        ask(UpdateRequest("page.raucb"), box.run)
        installed: list[str] = []

        def rauc(
            words: Sequence[str], outcome: int = outcome, installed: list[str] = installed
        ) -> tuple[int, str]:
            installed.append(words[-1])
            return outcome, ""

        assert replace(box, rauc=rauc).do_as_asked() == (outcome == 0)
        assert installed == [str(sent)]
        assert not sent.exists()
    assert not box.do_as_asked()
