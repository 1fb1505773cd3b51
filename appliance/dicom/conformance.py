"""The DICOM conformance statement of the running box, in the form of PS3.2 Annex N.

Generated from the tables that negotiate, the statuses that are answered and the settings in force,
so that it cannot differ from what the box does; a test holds it against live negotiation.
"""

from collections.abc import Iterator, Sequence

from pydicom.datadict import keyword_dict
from pydicom.uid import UID

from appliance import __version__
from appliance.archive.records import PRESENTATION_STATES
from appliance.dicom.associations import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from appliance.dicom.matches import KEYS, Level, requested
from appliance.dicom.scp import APPLICATION_CONTEXT, REQUEST_WITHIN, UNRECOGNIZED_OPERATION
from appliance.dicom.scu import LARGEST_LIST
from appliance.dicom.sop_classes import (
    IMPLICIT_VR_LITTLE_ENDIAN,
    LARGEST_PROPOSAL,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    VERIFICATION,
    StorageClass,
    compressed_contexts,
    storage_classes,
    transfer_syntaxes,
    uncompressed_syntaxes,
    verification_syntaxes,
)
from appliance.dicom.statuses import TREATMENT, statuses
from appliance.images.deidentify import CLEARED, EDITION, Options
from appliance.settings.model import Images, RemoteAE, Settings

_MATCHED: dict[Level, frozenset[str]] = {
    "STUDY": frozenset({"PatientID"}),
    "SERIES": frozenset({"StudyInstanceUID"}),
    "IMAGE": frozenset({"StudyInstanceUID", "SeriesInstanceUID"}),
}

_ASKED_BY_HAND = frozenset({"AccessionNumber", "StudyInstanceUID"})

_CHARACTER_SETS = (
    *("ISO_IR 6", "ISO_IR 13", "ISO_IR 100", "ISO_IR 192"),
    *("ISO 2022 IR 13", "ISO 2022 IR 87", "ISO 2022 IR 149", "ISO 2022 IR 58", "GB18030", "GBK"),
)


def conformance_statement(settings: Settings, proven: Sequence[str]) -> str:
    """Return the statement as Markdown.

    `proven` are the transfer syntaxes that a decoder of this machine decodes.
    """
    parts = (
        _cover(settings),
        _overview(settings),
        _implementation_model(settings),
        _association_policies(settings),
        _initiation(settings, proven),
        _acceptance(settings, proven),
        _store_statuses(settings),
        _web_services(),
        _deidentification(settings),
        _character_sets(),
        _security(settings),
        _deviations(settings),
    )
    return "\n".join("\n".join(part) + "\n" for part in parts)


def _cover(settings: Settings) -> Iterator[str]:
    yield "# DICOM Conformance Statement: netty box"
    yield ""
    yield f"Product version {__version__}, settings revision {settings.revision}, profile "
    yield f"`{settings.ae.profile}`, de-identification `{settings.images.deidentify}`."


def _overview(settings: Settings) -> Iterator[str]:
    yield "## 1 Overview"
    yield ""
    yield "The box asks remote AEs which studies of watched patients it does not hold, has them"
    yield "sent to itself, removes the patient's identity and renders them."
    yield ""
    yield from _table(
        ("Network service", "User (SCU)", "Provider (SCP)"),
        [
            ("Verification", "Yes", "Yes"),
            ("Study Root Query/Retrieve – FIND", "Yes", "No"),
            ("Study Root Query/Retrieve – MOVE", "Yes", "No"),
            ("Study Root Query/Retrieve – GET", "Yes" if _may_get(settings) else "No", "No"),
            *((row.name, "No", "Yes") for row in storage_classes(settings.ae.profile)),
        ],
    )
    yield ""
    yield "No media storage services. Programs in the care network read catalogue and pictures by"
    yield "the web services of section 5.2."


def _implementation_model(settings: Settings) -> Iterator[str]:
    yield "## 2 Implementation model"
    yield ""
    yield f"One application entity, `{settings.ae.title}`, is requestor and acceptor. At every"
    yield f"interval of {settings.query.every} s it sends C-FIND for its watch list (STUDY, then"
    yield "SERIES, then IMAGE level), compares the instances with those that it holds durably, and"
    yield "retrieves studies that lack some by Study Instance UID. An instance is answered with"
    yield "success after it is durable on disk and in the catalogue."
    yield ""
    yield from _table(
        ("Remote", "AE title", "Host", "Port", "TLS", "Queried", "Retrieval"),
        [_remote_row(remote) for remote in settings.remotes],
    )


def _association_policies(settings: Settings) -> Iterator[str]:
    ae, timeouts = settings.ae, settings.query.timeouts
    yield "## 3 Association policies"
    yield ""
    yield from _table(
        ("Parameter", "Value"),
        [
            ("Application context name", APPLICATION_CONTEXT),
            ("Implementation class UID", str(IMPLEMENTATION_CLASS_UID)),
            ("Implementation version name", IMPLEMENTATION_VERSION_NAME),
            ("Maximum PDU size received", f"{ae.max_pdu} bytes"),
            ("Associations accepted at a time", "no limit but the machine's"),
            ("… of one remote", str(ae.associations_per_remote)),
            (
                "Associations initiated at a time",
                "one per remote, and one more while its connection is tested; one service each",
            ),
            ("Asynchronous operations", "not supported (window 1, 1)"),
            ("Time for an association request to arrive", f"{REQUEST_WITHIN:.0f} s"),
            ("A silent peer is cut off after", f"{ae.stall} s"),
            ("Association request to establishment", f"{timeouts.association} s"),
            ("One response to the next", f"{timeouts.response} s"),
            ("Establishment to the end", f"{timeouts.total} s"),
        ],
    )
    yield ""
    yield "Pending responses, and incoming C-STOREs of a retrieval, count as responses. When a"
    yield "timer runs out, the connection is closed."


def _initiation(settings: Settings, proven: Sequence[str]) -> Iterator[str]:
    yield "## 4 Association initiation"
    yield ""
    services = [(VERIFICATION, "SCU"), (STUDY_ROOT_FIND, "SCU"), (STUDY_ROOT_MOVE, "SCU")]
    if _may_get(settings):
        services.append((STUDY_ROOT_GET, "SCU"))
    yield from _table(
        ("Abstract syntax", "UID", "Transfer syntax", "UID", "Role"),
        [
            (UID(uid).name, uid, UID(IMPLICIT_VR_LITTLE_ENDIAN).name, IMPLICIT_VR_LITTLE_ENDIAN, r)
            for uid, r in services
        ],
    )
    yield ""
    yield "### 4.1 C-FIND identifiers"
    yield ""
    rows = []
    for level in KEYS:
        for keyword in requested(level, settings.ae.profile):
            tag = keyword_dict[keyword]
            rows.append(
                (
                    level,
                    keyword,
                    f"({tag >> 16:04X},{tag & 0xFFFF:04X})",
                    _use(settings, level, keyword),
                )
            )
    yield from _table(("Level", "Attribute", "Tag", "Use"), rows)
    yield ""
    yield "Relational queries are used only with remotes whose settings say so. What a remote"
    yield "returns beyond the matching keys is ignored."
    yield ""
    yield "### 4.2 C-MOVE identifiers"
    yield ""
    yield "Study Instance UID (0020,000D), unique key, at STUDY level; destination is "
    yield f"`{settings.ae.title}`. The final status is a hint: a study is complete when every"
    yield "instance that an IMAGE level C-FIND listed is durable."
    yield ""
    if settings.ae.profile == "broad":
        yield "What a remote lists of a study and does not send is asked for again at IMAGE level:"
        yield "Study and Series Instance UID, and a list of SOP Instance UIDs, at most"
        yield f"{LARGEST_LIST} at a time."
        yield "Instances of a SOP class that section 5 does not name are not waited for."
        yield ""
    yield "The connection self-test, run when somebody asks for it, retrieves one instance at IMAGE"
    yield "level (Study, Series and SOP Instance UID)."
    yield ""
    if _may_get(settings):
        yield from _get_proposal(settings, proven)
        yield ""
    yield "### 4.4 Statuses of remotes"
    yield ""
    yield from _table(("Service", "Status received", "Behaviour"), TREATMENT)
    yield ""
    query = settings.query
    yield f"Pauses begin with {query.retry_first} s and double with each failure, up to"
    yield f"{query.retry_longest} s; up to a week where a study came but for a rest."


def _get_proposal(settings: Settings, proven: Sequence[str]) -> Iterator[str]:
    profile = settings.ae.profile
    compressed = dict.fromkeys(syntax for _, syntax in compressed_contexts(profile, proven, ()))
    rows = [("Each storage SOP class of section 5", uncompressed_syntaxes(profile, proven))]
    if compressed:
        rows.append(
            (
                "Image classes that the modalities of the study suggest, then common ones, each "
                f"alone, while there is room for {LARGEST_PROPOSAL} contexts",
                tuple(compressed),
            )
        )
    yield "### 4.3 C-GET"
    yield ""
    yield "Identifiers are those of C-MOVE. The box proposes itself as SCP of:"
    yield ""
    yield from _table(
        ("Proposed with C-GET", "Transfer syntaxes", "Role"),
        [(what, "; ".join(UID(uid).name for uid in uids), "SCP") for what, uids in rows],
    )


def _acceptance(settings: Settings, proven: Sequence[str]) -> Iterator[str]:
    ae = settings.ae
    yield "## 5 Association acceptance"
    yield ""
    yield "An association is accepted when the application context is the one above, the protocol"
    yield f"version is 1, the called AE title is `{ae.title}`, and the calling AE title is"
    yield "registered and calls from an address registered for it. Otherwise it is rejected:"
    yield ""
    yield from _table(
        ("Condition", "Result", "Source", "Reason"),
        [
            ("Other application context", "1 permanent", "1 service-user", "2"),
            ("Other protocol version", "1 permanent", "2 ACSE", "2"),
            ("Calling AE title not registered for its address", "1 permanent", "1", "3"),
            ("Called AE title is not ours", "1 permanent", "1 service-user", "7"),
            ("Too many associations of one remote", "2 transient", "3 presentation", "2"),
            ("A fault of the box: it cannot tell who calls", "2 transient", "3 presentation", "1"),
            *(
                [("Suspended", "2 transient", "3 presentation", "2")]
                if ae.profile == "broad"
                else []
            ),
        ],
    )
    yield ""
    yield "Transfer syntaxes, in the order of preference; each storage class is accepted in all:"
    yield ""
    yield from _table(
        ("Transfer syntax", "UID"),
        [(UID(uid).name, uid) for uid in transfer_syntaxes(ae.profile, proven)],
    )
    yield ""
    verification = ", ".join(UID(uid).name for uid in verification_syntaxes(ae.profile))
    yield f"Verification ({VERIFICATION}) is accepted in {verification}."
    yield ""
    yield from _table(
        ("Storage SOP class", "UID", "Role", "Rendered"),
        [
            (row.name, row.uid, "SCP", "yes" if _is_rendered(row) else "kept without a picture")
            for row in storage_classes(ae.profile)
        ],
    )
    yield ""
    yield f"Instances of studies that were not asked for are handled as `{ae.unsolicited}`:"
    yield {
        "discard": "acknowledged with success and discarded.",
        "store": "stored like any other.",
        "refuse": "refused.",
    }[ae.unsolicited]


def _store_statuses(settings: Settings) -> Iterator[str]:
    yield "### 5.1 C-STORE response statuses"
    yield ""
    yield from _table(
        ("Status", "Kind", "When"),
        [(f"{code:04X}", kind, meaning) for code, kind, meaning in statuses(settings.ae.profile)],
    )
    yield ""
    yield f"Any request other than C-ECHO and C-STORE is answered {UNRECOGNIZED_OPERATION:04X}"
    yield "(unrecognized operation)."


def _web_services() -> Iterator[str]:
    yield "### 5.2 DICOM web services (PS3.18)"
    yield ""
    yield "Origin server by HTTPS, below `/dicomweb` of the status page, to read; each request"
    yield "carries the token of the settings (`Authorization: Bearer`)."
    yield ""
    yield from _table(
        ("Service", "Resources", "Media types"),
        [
            ("QIDO-RS", "studies, series, instances", "application/dicom+json"),
            ("WADO-RS metadata", "study, series, instance", "application/dicom+json"),
            (
                "WADO-RS rendered, thumbnail",
                "study, series, instance, frames",
                "image/jpeg, image/png, image/webp, as the pictures are kept",
            ),
        ],
    )


def _deidentification(settings: Settings) -> Iterator[str]:
    yield "## 6 De-identification"
    yield ""
    if settings.images.deidentify == "basic":
        yield from _basic(settings.images)
    else:
        yield "The values of these elements are emptied, at every nesting depth:"
        yield ""
        yield ", ".join(f"({tag >> 16:04X},{tag & 0xFFFF:04X})" for tag in CLEARED)
    yield ""
    yield "Text in the pixels is blacked out where a rule for what made the image names it; of"
    yield "ultrasound, all outside of its Sequence of Ultrasound Regions. Burned In Annotation is"
    yield "then NO, and the method code 113101 DCM is given. In transfer syntaxes without"
    yield "compression, and in the deflated one, this is done before the instance is stored. In the"
    yield "others the instance is stored, and then written anew in Explicit VR Little Endian before"
    yield "its pictures are made; one that cannot be decoded stays as it came and has no picture."
    yield "An image with Burned In Annotation YES and without a rule"
    held = settings.images.burned_in == "hold"
    yield "has no picture." if held else "is shown as it is."
    yield "Recognizable visual features (PS3.15 Section E.3.2) are not removed."


def _basic(images: Images) -> Iterator[str]:
    options = "with these options" if images.options else "without options"
    yield "Basic Application Level Confidentiality Profile (PS3.15 Annex E, Table E.1-1,"
    yield f"edition {EDITION}) {options}, at every nesting depth, in memory, before a byte is"
    yield "written. Unknown elements, and private ones unless an option says so, are removed."
    yield "UIDs are mapped one-way with a key of the box unless an option retains them; Patient"
    yield "ID and Patient's Name become a pseudonym. Comments and application data of JPEG and"
    yield "JPEG 2000 codestreams become zeros, but for what decoders need."
    if images.options:
        yield ""
        yield from _options(images.options)
    if images.recipients:
        yield ""
        yield "What is changed or removed before the pixels is in Encrypted Attributes Sequence"
        yield "(0400,0500): CMS enveloped data, AES-256 in CBC mode, RSA key transport (PKCS #1"
        yield "version 1.5), content in Explicit VR Little Endian where it can be encoded so."


def _options(chosen: tuple[str, ...]) -> Iterator[str]:
    options = Options(chosen)
    yield from _table(
        ("Option", "Code"),
        [
            (meaning.decode(), f"{code.decode()} {scheme.decode()}")
            for code, scheme, meaning in options.codes
        ],
    )
    yield ""
    if "retain_long_modified_dates" in options:
        yield "Dates are moved into the past by 366 to 3653 days, a number made of the Patient ID"
        yield "with the key; times of day stay. A date known to the month only is removed."
    if any(name.startswith("clean_") for name in chosen):
        yield "Cleaned texts keep the words of a list of imaging terms, in Latin or Japanese"
        yield "script, which stand in no identifying value of the same dataset, and numbers with a"
        yield "unit; a text of VR LT, ST or UT is kept only if all of it may be. Content items keep"
        yield "published codes and numbers. Graphics keep points, circles, ellipses and straight"
        yield "lines, and overlays of type R."
    if "retain_safe_private" in options:
        yield "Private elements are kept if the sender declares them not to identify (0008,0300),"
        yield "or if they are in a list of technique parameters, with their creators."


def _character_sets() -> Iterator[str]:
    yield "## 7 Character sets"
    yield ""
    yield "Text passes through unchanged. For matching and display the box decodes: "
    yield ", ".join(_CHARACTER_SETS) + "."


def _security(settings: Settings) -> Iterator[str]:
    yield "## 8 Security"
    yield ""
    if settings.tls is None:
        yield "Associations are not encrypted: the settings have no `[tls]`."
        return
    certificates = "a certificate of the peer is required"
    if not settings.tls.require_certificate:
        certificates = "no certificate is asked of the peer"
    yield f"TLS 1.2 or newer on port {settings.tls.port} (BCP 195); {certificates}."


def _deviations(settings: Settings) -> Iterator[str]:
    yield "## 9 Deviations from the standard"
    yield ""
    if settings.ae.profile == "strict":
        yield "- Status A800 for a SOP class that is not supported; today's standard says 0122."
        yield "- Status FF00 for a C-STORE while suspended; the standard has no pending C-STORE."
    else:
        yield "- None in what is answered."
    if settings.ae.unsolicited == "discard":
        yield "- Success for an instance that was not asked for and is not kept."
    yield "- A deflated dataset is kept in Explicit VR Little Endian."


def _is_rendered(row: StorageClass) -> bool:
    return row.is_image or row.uid in PRESENTATION_STATES


def _may_get(settings: Settings) -> bool:
    return any(remote.query and remote.retrieve != "move" for remote in settings.remotes)


def _use(settings: Settings, level: Level, keyword: str) -> str:
    if level == "STUDY" and keyword == "AccessionNumber" and settings.query.use_accession:
        return "matching where the watch entry has one, or it is asked for by hand; returned"
    if level == "STUDY" and keyword in _ASKED_BY_HAND:
        return "matching where it is asked for by hand; returned"
    return "matching, returned" if keyword in _MATCHED[level] else "returned"


def _remote_row(remote: RemoteAE) -> tuple[str, ...]:
    return (
        remote.name,
        remote.title,
        remote.host,
        str(remote.port),
        "yes" if remote.tls else "no",
        "yes" if remote.query else "no",
        {"auto": "C-MOVE, else C-GET", "move": "C-MOVE", "get": "C-GET"}[remote.retrieve],
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield _row(head)
    yield _row(["---"] * len(head))
    for row in rows:
        yield _row(row)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
