"""What became of an update, found out when the box starts, and told to health."""

from __future__ import annotations

from appliance.health.reports import UpdateReport
from appliance.updates.boot_state import BootStates
from appliance.updates.record import GivenUp, Record
from appliance.updates.slots import Slot


def settle(slot: Slot, states: BootStates, record: Record, reset: str = "") -> UpdateReport:
    """Return how it is with updates, after a start from `slot`; what failed is written down.

    `reset` is what reset the machine, if it is known. Raises OSError.
    """
    if trial := record.trial(slot):
        sentence = f"Version {trial.version} is being tried; {trial.before} would return."
        return UpdateReport("trial", sentence)
    _look_at(slot.other, states, record, reset)
    given_up = record.given_up
    return UpdateReport("rolled back", _told(given_up)) if given_up else UpdateReport()


def _look_at(slot: Slot, states: BootStates, record: Record, reset: str) -> None:
    """Find out why the other slot does not run although something was put into it."""
    trial, state = record.trial(slot), states.read(slot)
    if trial is None or (state is not None and state.starts):
        return
    if trial.stage == "writing" or state is None:
        # The power went before it was whole; nothing was tried, and it may come again.
        record.forget(slot)
        return
    record.give_up(slot, trial, trial.failure or _silent(reset))


def _silent(reset: str) -> str:
    how = f" ({reset})" if reset else ""
    return f"It did not start, or restarted before it had proved itself{how}."


def _told(given_up: GivenUp) -> str:
    return f"Version {given_up.version}: {given_up.sentence}"
