"""The composition root of provisioning: what it takes for new settings to be good on this box.

The parts are in `provisioning`, which does not know DICOM; here the C-ECHO comes to them.
"""

from __future__ import annotations

import logging
from pathlib import Path

from appliance import __version__
from appliance.provisioning.activation import Activation
from appliance.provisioning.apply import Generations, TrialFailed
from appliance.provisioning.gate import BoxTrial, Check, NetworkUp, PageAnswers
from appliance.provisioning.serial import serial_number
from appliance.provisioning.visit import Visit
from appliance.settings.model import Settings, Timeouts

LOGGER = logging.getLogger(__name__)

_ECHO = Timeouts(association=5, response=5, total=10)


def ae_answers(settings: Settings) -> TrialFailed | None:
    """C-ECHO to the box's own AE, as a remote would do it; return what is wrong now."""
    # Most sticks are answered without it, and it takes long to load.
    from appliance.dicom.remotes import ourselves
    from appliance.dicom.scu import RequestFailed, Requestor

    ae = settings.ae
    try:
        Requestor(ae, _ECHO).echo(ourselves(ae))
    except RequestFailed as failure:
        LOGGER.info("%s", failure.sentence)
        return TrialFailed(
            f"The DICOM service does not answer at port {ae.port} with these settings.",
            "Correct [ae]; if it is right, switch the box off and on, and try again.",
        )
    return None


def visit(generations: Generations, activation: Activation, root: Path = Path("/")) -> Visit:
    """Return how this box, whose file system is at `root`, is visited by a stick."""
    echo: tuple[Check, ...] = (ae_answers,) if activation.serves else ()
    checks: tuple[Check, ...] = (NetworkUp(activation.run), *echo, PageAnswers())
    return Visit(
        generations,
        BoxTrial(activation, checks),
        serial_number(root),
        __version__,
        activation.run,
        {"status page": root / "state/panel/certificate.pem"},
    )
