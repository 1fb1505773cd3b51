"""How the box is, as one process says it and page, console and command line show it."""

import time
from dataclasses import dataclass
from typing import Literal

from appliance.health.places import Places
from appliance.health.reports import HEALTH, ServiceReport, Unreadable, is_fresh, read_report
from appliance.health.state import Colour, Name, Problem, Rhythm, Text


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of the box with what people want to know beside it."""

    written: float
    """CLOCK_MONOTONIC, in seconds, like `since`."""
    since: float
    name: Name | Literal["unknown"]
    colour: Colour
    rhythm: Rhythm
    problems: tuple[Problem, ...] = ()
    provisioned: bool = False
    clock_trusted: bool = False
    version: str = ""
    addresses: tuple[str, ...] = ()
    """Of this box, for a browser."""
    fingerprint: str = ""
    """SHA-256 of the page's certificate; empty while there is none."""
    service: ServiceReport | None = None
    """What the AE tells, if it runs."""


def unknown(why: str, now: float) -> Verdict:
    """The verdict where there is none: nobody may take that for a working box."""
    what = Text("本機の状態を確認できません", "It cannot be known how this box is")
    who = Text(
        "この医院の方：1 分待っても変わらなければ、電源を入れ直してください。",
        "Anyone at the clinic: if this stays for a minute, switch the box off and on.",
    )
    return Verdict(now, now, "unknown", "red", "steady", (Problem(what, who, why),))


def read_verdict(places: Places, now: float | None = None) -> Verdict:
    """What netty-led says, or that it says nothing."""
    now = time.monotonic() if now is None else now
    try:
        verdict = read_report(places.run / HEALTH, Verdict)
    except Unreadable as error:
        return unknown(f"netty-led.service has not said how the box is: {error}", now)
    if not is_fresh(verdict.written, now=now):
        return unknown("netty-led.service does not say any more how the box is", now)
    return verdict
