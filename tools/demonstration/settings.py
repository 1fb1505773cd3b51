"""The settings of the demonstration's box: an example of netty.toml, commented."""

import json
from collections.abc import Sequence

from appliance.settings.passwords import hash_password
from tools.demonstration.studies import Patient
from tools.hospital.box import TITLE
from tools.hospital.sender import Node

PASSWORD = "look at the page"
"""Of the demonstration's page."""

_HEAD = """\
# The settings of the demonstration's box. `tools/demo` writes this file anew each time.
# Every key, with its unit, default and limits:  appliance settings
# What is wrong with a file:                     appliance check FILE

# Must grow with each change: a box takes only what is newer than what it has.
revision = 1

# Our application entity. Title, address and port are what a PACS administrator registers.
[ae]
title = {title}
port = {port}
address = "127.0.0.1"          # this machine alone can reach the demonstration

# The page: who knows the password sees pictures, and asks for more. This one is known to everybody;
# `appliance password` makes a line like this of yours.
[panel]
password = {password}

# Whom to ask. Only registered remotes may call us back, under this title, from this host.
[[remote]]
name = "hospital"
title = {remote_title}
host = {remote_host}
port = {remote_port}
retrieve = "auto"              # C-MOVE to us; C-GET where the PACS cannot reach us

# When to ask. A hospital is asked every 15 minutes or so; a demonstration may be impatient.
[query]
every = "20 s"
retry_first = "5 s"
settle = "2 s"

[images]
format = "jpeg"
quality = 90
keep_dicom = true              # the de-identified DICOM beside the pictures
deidentify = "basic"           # PS3.15 Annex E, Basic Application Level Confidentiality Profile

[storage]
reserve = "256 MiB"            # space that is never used

# Whose images are wanted. The number goes to the PACS and nowhere else: what the box keeps bears
# the pseudonym.
"""

_WATCH = """
[[watch]]                      # {shows}
patient_id = {identifier}
pseudonym = {pseudonym}
"""


def netty_toml(box_port: int, pacs: Node, patients: Sequence[Patient]) -> str:
    """The text of the file."""
    head = _HEAD.format(
        title=_quoted(TITLE),
        port=box_port,
        password=_quoted(hash_password(PASSWORD)),
        remote_title=_quoted(pacs.title),
        remote_host=_quoted(pacs.host),
        remote_port=pacs.port,
    )
    watches = (
        _WATCH.format(
            shows=patient.shows,
            identifier=_quoted(patient.identifier),
            pseudonym=_quoted(f"DEMO-{number:02d}"),
        )
        for number, patient in enumerate(patients, start=1)
    )
    return head + "".join(watches)


def _quoted(text: str) -> str:
    """A TOML basic string; JSON's escapes are TOML's as well."""
    return json.dumps(text, ensure_ascii=False)
