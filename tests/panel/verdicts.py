"""Verdicts of every state, as pages show them."""

import time
from dataclasses import replace

from appliance.health.reports import RemoteReport, ServiceReport, SpaceReport
from appliance.health.state import Facts, state
from appliance.health.verdict import Verdict, unknown

SENTENCE = "ward (192.0.2.7:104): nothing answers on that port"
DOWN = RemoteReport("ward", time.time() - 10_000, time.time() - 60, SENTENCE)

FACTS: dict[str, Facts] = {
    "working": Facts(),
    "starting": Facts(service="starting"),
    "unprovisioned": Facts(provisioned=False, service="stopped"),
    "degraded": Facts(unreachable=(DOWN,), space="nearly full", clock_doubtful=True),
    "accepted": Facts(stick="accepted"),
    "rejected": Facts(stick="rejected", stick_sentence="line 3: <b>prot</b> is no key"),
    "fault": Facts(service="failing", failure="port 104 is taken"),
    "writing": Facts(updating=True),
}
"""By the state that they make."""

NAMES = (*FACTS, "unknown")


def service() -> ServiceReport:
    """What an AE tells that runs."""
    now = time.time()
    return ServiceReport(
        time.monotonic(),
        started=now - 5000,
        box="中央クリニック",
        revision=3,
        title="HAPPY_netty",
        port=104,
        space=SpaceReport(812_000_000_000, 10**12, False),
        remotes=(RemoteReport("main", now - 130), DOWN, RemoteReport("new")),
        counts={"instances": 48_213, "studies": 312, "outstanding": 120, "queued": 8, "failed": 2},
    )


def verdict(name: str) -> Verdict:
    """A verdict of the state `name`, of this moment."""
    now = time.monotonic()
    if name == "unknown":
        return unknown("netty-led.service does not say any more how the box is", now)
    facts = FACTS[name]
    judged = state(facts)
    assert judged.name == name
    told = Verdict(
        now, now - 400, judged.name, judged.light.colour, judged.light.rhythm, judged.problems
    )
    return replace(
        told,
        provisioned=facts.provisioned,
        version="0.1.0",
        addresses=("192.0.2.20",),
        service=service() if facts.service == "working" else None,
    )
