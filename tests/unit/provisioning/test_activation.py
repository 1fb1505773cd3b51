"""The active settings: at every start those that hold, and the services told of what changed."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from appliance.provisioning.activation import (
    ACTIVE,
    AE,
    AE_REPORT,
    Activation,
    CommandFailed,
    run_command,
    settle,
)
from appliance.provisioning.apply import CURRENT, Damaged, TrialFailed
from appliance.provisioning.result import Report, read_report, write_report
from appliance.provisioning.system import FIREWALL, NETWORK
from appliance.settings.reader import read
from tests.unit.provisioning.boxes import ONE, TWO, Box


@dataclass
class Commands:
    """Notes what is run, and lets one of them fail."""

    failing: str = ""
    seen: list[str] = field(default_factory=list)

    def __call__(self, words: Sequence[str]) -> None:
        command = " ".join(words)
        self.seen.append(command)
        if self.failing and self.failing in command:
            raise CommandFailed(f"{command}: no")


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_without_settings_nothing_is_active(box: Box) -> None:
    commands = Commands()
    assert settle(box.generations, Activation(box.run, commands)) is False
    assert not (box.run / ACTIVE).is_symlink()
    assert commands.seen == []


def test_at_the_start_those_that_hold_become_active(box: Box) -> None:
    box.accept(ONE)
    commands = Commands()
    assert settle(box.generations, Activation(box.run, commands)) is True
    assert (box.run / ACTIVE / "netty.toml").read_bytes() == ONE
    assert (box.run / NETWORK).exists()
    assert (box.run / FIREWALL).exists()
    assert commands.seen == [], "at the start everything else comes later by itself"


def test_a_trial_that_the_power_ended_is_forgotten_at_the_start(box: Box) -> None:
    box.accept(ONE)
    tried = box.settings / "2-0123456789abcdef"
    tried.mkdir()
    (tried / "netty.toml").write_bytes(TWO)
    settle(box.generations, Activation(box.run, Commands()))
    assert (box.run / ACTIVE / "netty.toml").read_bytes() == ONE


@pytest.mark.parametrize("restart", [False, True])
def test_damaged_settings_leave_the_box_as_one_without(box: Box, restart: bool) -> None:
    box.accept(ONE)
    activation = Activation(box.run, Commands())
    settle(box.generations, activation)
    (box.settings / CURRENT).unlink()
    (box.settings / CURRENT).symlink_to("3-0123456789abcdef")
    with pytest.raises(Damaged):
        settle(box.generations, activation, restart=restart)
    assert activation.active is None
    assert not (box.run / NETWORK).exists()


def test_an_interrupted_trial_ends_with_the_services_as_before(box: Box) -> None:
    box.accept(ONE)
    commands = Commands()
    activation = Activation(box.run, commands)
    settle(box.generations, activation)
    activation.place(box.settings / "2-0123456789abcdef", read(TWO.decode() + "[ae]\nport = 7\n"))
    write_report(box.run, Report("applying", "tried", True, 1.0, 1, "/dev/sda1"))
    settle(box.generations, activation, restart=True)
    assert (box.run / ACTIVE / "netty.toml").read_bytes() == ONE
    assert f"systemctl restart {AE}" in commands.seen
    report = read_report(box.run)
    assert report is not None
    assert (report.outcome, report.revision, report.plugged) == ("rejected", 1, True)
    assert "interrupted" in report.sentence


def test_where_nothing_was_interrupted_nobody_is_restarted(box: Box) -> None:
    box.accept(ONE)
    commands = Commands()
    activation = Activation(box.run, commands)
    settle(box.generations, activation)
    settle(box.generations, activation, restart=True)
    assert commands.seen == []


NETWORKED = '[network]\naddress = "192.0.2.5/24"\nntp = ["192.0.2.1"]\n'


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("", '[box]\nname = "x"\n', []),
        ("", "[ae]\nport = 11112\n", []),
        ("", '[panel]\nallow_from = ["192.0.2.0/24"]\n', ["netty-firewall.service"]),
        ("", "[network]\nvlan = 20\n", ["systemd-networkd.service"]),
        ("", NETWORKED, ["systemd-networkd.service", "systemd-timesyncd.service"]),
        (NETWORKED, "", ["systemd-networkd.service", "systemd-timesyncd.service"]),
    ],
)
def test_only_what_changed_is_told(box: Box, before: str, after: str, told: list[str]) -> None:
    commands = Commands()
    activation = Activation(box.run, commands)
    activation.place(box.settings / "1", read(f"revision = 1\n{before}"))
    activation.take(activation.place(box.settings / "2", read(f"revision = 2\n{after}")))
    of_the_system = [command.split()[-1] for command in commands.seen if not command.endswith(AE)]
    assert of_the_system == told
    assert commands.seen[-1] == f"systemctl restart {AE}"


def test_an_ae_that_does_not_start_is_told_in_its_own_words(box: Box) -> None:
    activation = Activation(box.run, Commands(failing=f"restart {AE}"))
    changes = activation.place(box.settings / "1", read("revision = 1"))
    with pytest.raises(TrialFailed) as caught:
        activation.take(changes)
    assert caught.value.sentence == "The DICOM service does not start with these settings."
    report = box.run / AE_REPORT
    report.parent.mkdir()
    report.write_text(json.dumps({"failure": "port 104 is in use"}))
    with pytest.raises(TrialFailed) as caught:
        activation.take(changes)
    assert caught.value.sentence == (
        "The DICOM service does not start with these settings: port 104 is in use."
    )


def test_an_ae_without_an_archive_is_no_fault_of_the_settings(box: Box) -> None:
    activation = Activation(box.run, Commands(failing=f"restart {AE}"), serves=False)
    activation.take(activation.place(box.settings / "1", read("revision = 1")))


def test_what_fails_beside_the_ae_is_left_to_the_gate(box: Box) -> None:
    activation = Activation(box.run, Commands(failing="netty-firewall"))
    activation.take(activation.place(box.settings / "1", read("revision = 1")))


def test_a_program_that_fails_says_why() -> None:
    run_command(("true",))
    for words in (("false",), ("ls", "/nowhere"), ("/no/such/program",)):
        with pytest.raises(CommandFailed, match=os.path.basename(words[0])):
            run_command(words)
