"""The restart budget, over reboots, whatever the clock of the day says."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.health.budget import (
    REST,
    RESTARTS,
    WITHIN,
    Boot,
    Budget,
    Ledger,
    begun,
    cause_of,
    crashed,
    spent,
)
from appliance.health.places import Places
from appliance.health.reports import read_report, write_report
from appliance.health.seen import Seen


@dataclass
class Box:
    """A box in a test: its ledger, and the truth."""

    ledger: Ledger = field(default_factory=Ledger)
    settings: str = "1"
    boots: int = 0
    uptime: float = 0.0
    ran: float = 0.0
    """Seconds, over all boots."""
    truth: list[tuple[float, str]] = field(default_factory=list)
    noted_every: float = 1e-9

    def __post_init__(self) -> None:
        self.switch_on()

    @property
    def spent(self) -> bool:
        return spent(self.ledger, self.uptime, self.settings)

    @property
    def truly_spent(self) -> bool:
        times = [at for at, settings in self.truth if settings == self.settings]
        return any(
            times[i + RESTARTS - 1] - times[i] <= WITHIN and self.ran - times[i + 2] < REST
            for i in range(len(times) - RESTARTS + 1)
        )

    def run(self, seconds: float) -> None:
        self.uptime += seconds
        self.ran += seconds

    def crash(self) -> None:
        self.ledger = crashed(self.ledger, self.uptime, "watchdog", self.settings)
        self.truth.append((self.ran, self.settings))

    def reset(self) -> None:
        self.truth.append((self.ran, self.settings))
        self._boot("reset by the watchdog")

    def switch_on(self) -> None:
        self.truth.clear()
        self._boot("")

    def _boot(self, reset: str) -> None:
        noted = self.uptime // self.noted_every * self.noted_every
        self.boots += 1
        boot = Boot(str(self.boots), reset, seen=noted)
        self.ledger = begun(self.ledger, boot, self.settings)
        self.uptime = 0.0


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["crash", "crash", "reset", "reset", "switch", "settle"]),
        st.sampled_from([0.0, 1.0, 60.0, 299.0, 301.0, 3599.0, 1e5]) | st.floats(0, 1e4),
    ),
    max_size=30,
)


def live(box: Box, event: str) -> None:
    match event:
        case "crash":
            box.crash()
        case "reset":
            box.reset()
        case "switch":
            box.switch_on()
        case "settle":
            box.settings += "1"


@given(EVENTS)
def test_it_is_spent_when_it_truly_is(events: list[tuple[str, float]]) -> None:
    box = Box(noted_every=0.001)
    for event, seconds in events:
        box.run(round(seconds))
        live(box, event)
        assert box.spent == box.truly_spent


@given(EVENTS, st.sampled_from([120.0, 1e9]))
def test_a_boot_that_was_not_seen_to_its_end_makes_it_stricter_only(
    events: list[tuple[str, float]], noted_every: float
) -> None:
    box = Box(noted_every=noted_every)
    for event, seconds in events:
        box.run(seconds)
        live(box, event)
        if box.ran - max((at for at, _ in box.truth), default=0) < REST - 600:
            assert box.spent or not box.truly_spent


def test_three_crashes_in_ten_minutes_spend_it_and_two_do_not() -> None:
    box = Box()
    for _ in range(2):
        box.crash()
        box.run(299)
        assert not box.spent
    box.crash()
    assert box.spent


def test_crashes_far_apart_never_do() -> None:
    box = Box()
    for _ in range(50):
        box.run(WITHIN / 2 + 1)
        box.crash()
        assert not box.spent


def test_an_hour_gives_it_back_and_three_more_take_it_again() -> None:
    box = Box()
    for _ in range(3):
        box.crash()
    box.run(REST - 1)
    assert box.spent
    box.run(1)
    assert not box.spent
    box.crash()
    box.crash()
    assert not box.spent
    box.crash()
    assert box.spent


def test_resets_and_crashes_count_alike_and_over_reboots() -> None:
    box = Box()
    box.run(100)
    box.reset()
    box.run(100)
    box.crash()
    box.reset()
    assert box.spent
    box.reset()
    assert box.spent


@pytest.mark.parametrize("human", ["switch", "settle"])
def test_a_human_gives_it_back(human: str) -> None:
    box = Box()
    for _ in range(3):
        box.crash()
    live(box, human)
    assert not box.spent


def test_a_power_cut_is_no_crash() -> None:
    box = Box()
    for _ in range(20):
        box.run(30)
        box.switch_on()
        assert not box.spent


# -- the ledger on disk


@pytest.fixture
def places(tmp_path: Path) -> Places:
    places = Places(tmp_path)
    places.settings.parent.mkdir(parents=True)
    places.settings.symlink_to("/state/settings/7")
    boot(places, "one")
    return places


def boot(places: Places, number: str, bits: str = "0\n", panic: str = "") -> None:
    """The kernel's side of a new boot."""
    places.boot_id.parent.mkdir(parents=True, exist_ok=True)
    places.boot_id.write_text(f"{number}\n")
    status = places.watchdogs / "watchdog0/bootstatus"
    status.parent.mkdir(parents=True, exist_ok=True)
    status.write_text(bits)
    if panic:
        folder = places.panics[1] / "17000"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / panic).touch()


def budget_of(places: Places, uptime: float = 60.0) -> Budget:
    return Budget(places, lambda: uptime)


def test_it_survives_a_reset(places: Places) -> None:
    budget = budget_of(places)
    for _ in range(2):
        budget.count("watchdog")
    assert not budget.spent()
    boot(places, "two", bits="32\n")
    assert budget_of(places).spent(), "before anybody wrote anything in this boot"
    ledger = budget_of(places).begin()
    assert [one.cause for one in ledger.restarts] == ["watchdog"] * 2 + ["reset by the watchdog"]
    assert {one.settings for one in ledger.restarts} == {"7"}
    assert budget_of(places).begin() == ledger, "a boot begins once"


def test_a_panic_counts_once_as_long_as_its_trace_is_kept(places: Places) -> None:
    budget_of(places).begin()
    boot(places, "two", panic="dmesg-efi-1")
    assert len(budget_of(places).begin().restarts) == 1
    boot(places, "three", panic="dmesg-efi-2")
    assert len(budget_of(places).begin().restarts) == 2
    boot(places, "four")
    assert budget_of(places).begin().restarts == ()


@pytest.mark.parametrize("bits", ["0", "8", "nonsense", ""])
def test_no_flag_of_the_watchdog_is_no_reset(places: Places, bits: str) -> None:
    budget_of(places).count("signal")
    boot(places, "two", bits)
    assert budget_of(places).begin().restarts == ()


def test_running_time_is_what_the_boot_before_was_seen_to_run(places: Places) -> None:
    budget_of(places).begin()
    places.seen.parent.mkdir(parents=True)
    write_report(places.seen, Seen("one", 5000.0, 0.0))
    boot(places, "two", bits="32")
    assert budget_of(places).begin().before == 5000.0
    boot(places, "three", bits="32")
    assert budget_of(places).begin().before == 5000.0, "what was noted is of another boot"


def test_other_settings_bring_it_back(places: Places) -> None:
    for _ in range(3):
        budget_of(places).count("signal")
    assert budget_of(places).spent()
    places.settings.unlink()
    places.settings.symlink_to("/state/settings/8")
    assert not budget_of(places).spent()


@pytest.mark.parametrize("text", ["", "{", '{"boot": 5}'])
def test_a_damaged_ledger_is_an_empty_one(places: Places, text: str) -> None:
    places.ledger.parent.mkdir(parents=True)
    places.ledger.write_text(text)
    assert not budget_of(places).spent()
    budget_of(places).count("signal")
    assert len(read_report(places.ledger, Ledger).restarts) == 1


def test_the_ledger_does_not_grow(places: Places) -> None:
    for _ in range(40):
        budget_of(places).count("signal")
    assert len(read_report(places.ledger, Ledger).restarts) == 20


@pytest.mark.parametrize(
    ("result", "code", "status", "counts"),
    [
        ("success", "exited", "0", False),
        ("exit-code", "exited", "1", False),
        ("exit-code", "exited", "203", False),
        ("exit-code", "exited", "70", True),
        ("watchdog", "dumped", "ABRT", True),
        ("signal", "killed", "KILL", True),
        ("core-dump", "dumped", "SEGV", True),
        ("oom-kill", "killed", "KILL", True),
        ("timeout", "killed", "TERM", False),
        ("exec-condition", "exited", "1", False),
        ("resources", "", "", False),
    ],
)
def test_what_has_a_reason_is_not_counted(
    result: str, code: str, status: str, counts: bool
) -> None:
    told = {"SERVICE_RESULT": result, "EXIT_CODE": code, "EXIT_STATUS": status}
    assert bool(cause_of(told)) is counts


def test_without_systemd_nothing_is_counted() -> None:
    assert cause_of({}) == ""
