"""The C-STORE statuses that the box answers (PS3.7 Annex C, PS3.4 Section B.2.3).

`strict` answers what the conformance statement lists; `broad` what today's standard says.
"""

from dataclasses import dataclass

from appliance.dicom.sop_classes import Profile


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """The outcome of one C-STORE.

    `code` goes into Status (0000,0900), `comment` (at most 64 characters, no identity in it) into
    Error Comment (0000,0902), so that the sender's administrator can read it in their own log.
    """

    code: int
    comment: str = ""

    @property
    def stored(self) -> bool:
        """Whether the instance is held durably with this outcome (success or warning)."""
        return self.code == SUCCESS or self.code & 0xF000 == 0xB000


SUCCESS = 0x0000
NOT_AUTHORISED = 0x0124
OUT_OF_RESOURCES = 0xA700
SOP_CLASS_NOT_SUPPORTED = 0x0122
SOP_CLASS_NOT_SUPPORTED_STRICT = 0xA800
DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000
COERCION = 0xB000
ELEMENTS_DISCARDED = 0xB006
DOES_NOT_MATCH_STORED = 0xB007
SUSPENDED_STRICT = 0xFF00

PENDING = (0xFF00, 0xFF01)
MOVE_DESTINATION_UNKNOWN = 0xA801
REMOTE_OUT_OF_RESOURCES = (0xA700, 0xA701, 0xA702)
"""Of what remotes answer (PS3.4 Sections C.4.1.1.4, C.4.2.1.5 and C.4.3.1.4)."""

TREATMENT: tuple[tuple[str, str, str], ...] = (
    ("C-ECHO", "0000", "The remote is there"),
    ("C-ECHO", "any other", "Told in events and health; asked again after a growing pause"),
    ("C-FIND", "FF00, FF01", "A match; unsupported optional keys (FF01) are no reason to leave it"),
    ("C-FIND", "0000", "The end of the matches"),
    ("C-FIND", "any other", "Told in events; asked again after a growing pause"),
    ("C-MOVE, C-GET", "FF00, FF01", "A sign of life"),
    ("C-MOVE, C-GET", "0000, B000", "No proof: what did not come is missing, and asked for again"),
    ("C-MOVE", "A801", "The remote's administrator is told to register the box; asked again"),
    ("C-MOVE, C-GET", "A700, A701, A702", "The remote is out of resources; asked again"),
    ("C-MOVE, C-GET", "any other", "What did come is held; told with the counters; asked again"),
)
"""Service, statuses, and what the box does then, for the conformance statement."""

MEANINGS: tuple[tuple[int, str, str], ...] = (
    (SUCCESS, "Success", "The instance is held durably, or was not solicited and is discarded"),
    (COERCION, "Warning", "Stored; a malformed value was repaired (e.g. the character set label)"),
    (ELEMENTS_DISCARDED, "Warning", "Stored; elements that cannot be parsed were discarded"),
    (DOES_NOT_MATCH_STORED, "Warning", "Stored; an image SOP class without an image in it"),
    (NOT_AUTHORISED, "Refused", "Not solicited, and the settings refuse such instances"),
    (OUT_OF_RESOURCES, "Refused", "No space above the reserve, stopping, or the catalogue fails"),
    (SOP_CLASS_NOT_SUPPORTED, "Refused", "SOP class not accepted on this presentation context"),
    (SOP_CLASS_NOT_SUPPORTED_STRICT, "Refused", "The same in the strict profile"),
    (DOES_NOT_MATCH, "Error", "SOP class or instance UID of dataset and command differ"),
    (
        CANNOT_UNDERSTAND,
        "Error",
        "The dataset is truncated, malformed, or names no study",
    ),
    (SUSPENDED_STRICT, "Pending", "Suspended by the operator (strict profile only)"),
)
"""Every status, its kind and the condition that produces it, for the conformance statement."""


def class_not_supported(profile: Profile) -> int:
    """Return the status for a SOP class that is not accepted: A800 in `strict`, 0122 in `broad`."""
    return SOP_CLASS_NOT_SUPPORTED_STRICT if profile == "strict" else SOP_CLASS_NOT_SUPPORTED


def unsolicited_refused(profile: Profile) -> int:
    """Return the status for a refused unsolicited instance: A700 in `strict`, 0124 in `broad`."""
    return OUT_OF_RESOURCES if profile == "strict" else NOT_AUTHORISED


def statuses(profile: Profile) -> tuple[tuple[int, str, str], ...]:
    """Return the rows of `MEANINGS` that this profile can answer."""
    absent = (
        {SOP_CLASS_NOT_SUPPORTED, NOT_AUTHORISED}
        if profile == "strict"
        else {SOP_CLASS_NOT_SUPPORTED_STRICT, SUSPENDED_STRICT}
    )
    rows = (row for row in MEANINGS if row[0] not in absent)
    return tuple((code, kind, _meaning(code, meaning, profile)) for code, kind, meaning in rows)


def _meaning(code: int, meaning: str, profile: Profile) -> str:
    if code == unsolicited_refused(profile) != NOT_AUTHORISED:
        return f"{meaning}; or not solicited, where the settings refuse such instances"
    return meaning
