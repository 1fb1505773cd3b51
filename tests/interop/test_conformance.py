"""The conformance statement against the box that it speaks of: what it says is what happens.

The statement is read as its readers read it, table by table; a stock pynetdicom proposes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pytest
from pydicom.uid import UID
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.presentation import build_context

from appliance.dicom.conformance import conformance_statement
from appliance.dicom.matches import KEYS
from appliance.dicom.scu import Requestor
from appliance.dicom.sop_classes import UNCOMPRESSED
from appliance.dicom.statuses import MOVE_DESTINATION_UNKNOWN, PENDING, REMOTE_OUT_OF_RESOURCES
from appliance.settings.model import RemoteAE
from tests.interop.boxes import SENDER, TITLE, Box, box, settings
from tools.hospital.peers import free_port

PROPOSABLE = 128
"""Presentation contexts of one association."""

ELSEWHERE = RemoteAE(name="elsewhere", title="ELSEWHERE", host="192.0.2.1", query=False)

NOT_IN_ANY_STATEMENT = (
    "1.2.840.10008.5.1.4.1.1.481.5",  # RT Plan
    "1.2.840.10008.5.1.4.1.1.9.1.1",  # 12-lead ECG
    "1.2.840.10008.5.1.4.1.1.66",  # Raw Data
    "1.2.840.10008.5.1.4.1.2.2.1",  # Study Root FIND
    "1.2.840.10008.5.1.4.1.2.2.2",  # Study Root MOVE
    "1.2.840.10008.5.1.4.31",  # Modality Worklist
    "1.2.840.10008.1.20.1",  # Storage Commitment
    "1.2.840.10008.3.1.2.3.3",  # Modality Performed Procedure Step
    "1.2.3.4.5.6.7",
)

SYNTAXES = [
    *("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"),
    *("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5"),
    *(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70, 80, 81, 90, 91, 92, 93, 94, 95)),
    *(f"1.2.840.10008.1.2.4.{n}" for n in (100, 101, 102, 103, 107, 108, 201, 202, 203)),
    "1.2.840.10008.1.2.8.1",
    "1.2.3.4.5.6.8",
]
"""All that a peer may think of."""

ECHO = ("1.2.840.10008.1.1", "1.2.840.10008.1.2")

Row = dict[str, str]


@dataclass(frozen=True)
class Statement:
    """A statement in Markdown as its tables: for each, the names of its columns and its rows."""

    tables: Sequence[tuple[tuple[str, ...], tuple[Row, ...]]]

    @classmethod
    def read(cls, text: str) -> "Statement":
        found: list[tuple[tuple[str, ...], list[Row]]] = []
        inside = False
        for line in text.splitlines():
            if not line.startswith("| "):
                inside = False
                continue
            cells = tuple(cell.strip() for cell in line.strip("|").split(" | "))
            if not inside:
                found.append((cells, []))
                inside = True
            elif set(cells) != {"---"}:
                found[-1][1].append(dict(zip(found[-1][0], cells, strict=True)))
        return cls([(columns, tuple(rows)) for columns, rows in found])

    def rows(self, *columns: str) -> tuple[Row, ...]:
        """The rows of the one table with exactly these columns."""
        (rows,) = [rows for found, rows in self.tables if found == columns]
        return rows

    @property
    def classes(self) -> set[str]:
        return {row["UID"] for row in self.rows("Storage SOP class", "UID", "Role", "Rendered")}

    @property
    def syntaxes(self) -> list[str]:
        return [row["UID"] for row in self.rows("Transfer syntax", "UID")]

    @property
    def parameters(self) -> dict[str, str]:
        return {row["Parameter"]: row["Value"] for row in self.rows("Parameter", "Value")}


@dataclass(frozen=True)
class Spoken:
    """A box, and what its statement says."""

    box: Box
    text: str
    statement: Statement


@pytest.fixture(scope="module", params=["broad", "strict"])
def spoken(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Spoken]:
    ae = {"profile": request.param, "associations_per_remote": 3}
    wanted = settings(free_port(), SENDER, ELSEWHERE, ae=ae)
    with box(tmp_path_factory.mktemp(request.param), wanted) as running:
        text = conformance_statement(wanted, running.service.proven)
        yield Spoken(running, text, Statement.read(text))


def associate(
    port: int, pairs: Sequence[tuple[str, str]], calling: str = "SENDER", called: str = TITLE
) -> Association:
    entity = AE(calling)
    contexts = [build_context(sop_class, syntax) for sop_class, syntax in pairs]
    return entity.associate("127.0.0.1", port, contexts, called)


def accepted(port: int, pairs: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Which of the pairs the box accepts, each proposed in a context of its own.

    Verification is always among them: pynetdicom gives up when it gets nothing.
    """
    found = set()
    for start in range(0, len(pairs), PROPOSABLE - 1):
        association = associate(port, [ECHO, *pairs[start : start + PROPOSABLE - 1]])
        assert association.is_established
        for context in association.accepted_contexts:
            found.add((str(context.abstract_syntax), str(context.transfer_syntax[0])))
        association.release()
    return found & set(pairs)


def test_every_class_in_every_syntax(spoken: Spoken) -> None:
    statement = spoken.statement
    pairs = [(uid, syntax) for uid in sorted(statement.classes) for syntax in SYNTAXES]
    expected = {(uid, syntax) for uid in statement.classes for syntax in statement.syntaxes}
    assert set(statement.syntaxes) <= set(SYNTAXES)
    assert accepted(spoken.box.port, pairs) == expected


def test_the_statement_is_that_of_its_profile(spoken: Spoken) -> None:
    strict = spoken.box.settings.ae.profile == "strict"
    assert len(spoken.statement.classes) == 13 if strict else len(spoken.statement.classes) > 60
    assert len(spoken.statement.syntaxes) == 1 if strict else len(spoken.statement.syntaxes) > 8


def test_what_it_does_not_name_is_refused(spoken: Spoken) -> None:
    pairs = [(uid, "1.2.840.10008.1.2") for uid in NOT_IN_ANY_STATEMENT]
    assert not set(NOT_IN_ANY_STATEMENT) & spoken.statement.classes
    assert accepted(spoken.box.port, pairs) == set()


def test_verification(spoken: Spoken) -> None:
    verification = "1.2.840.10008.1.1"
    (said,) = [line for line in spoken.text.splitlines() if line.startswith("Verification (")]
    names = said.removesuffix(".").split(" is accepted in ")[1].split(", ")
    found = accepted(spoken.box.port, [(verification, syntax) for syntax in SYNTAXES])
    assert {UID(syntax).name for _, syntax in found} == set(names)


def test_the_preferred_syntax_comes_first(spoken: Spoken) -> None:
    """Of several in one context, the box takes the one that its statement names first."""
    ct = "1.2.840.10008.5.1.4.1.1.2"
    for proposed in (spoken.statement.syntaxes, spoken.statement.syntaxes[::-1]):
        entity = AE("SENDER")
        contexts = [build_context(ct, proposed)]
        association = entity.associate("127.0.0.1", spoken.box.port, contexts, TITLE)
        (context,) = association.accepted_contexts
        assert context.transfer_syntax == [spoken.statement.syntaxes[0]]
        association.release()


def test_the_network_services_are_those_that_are_accepted(spoken: Spoken) -> None:
    columns = ("Network service", "User (SCU)", "Provider (SCP)")
    rows = spoken.statement.rows(*columns)
    provided = {row[columns[0]] for row in rows if row[columns[2]] == "Yes"}
    assert provided == {"Verification", *(UID(uid).name for uid in spoken.statement.classes)}


def test_the_association_policies(spoken: Spoken) -> None:
    parameters = spoken.statement.parameters
    association = associate(spoken.box.port, [ECHO])
    acceptor = association.acceptor
    assert acceptor.implementation_class_uid == parameters["Implementation class UID"]
    assert acceptor.implementation_version_name == parameters["Implementation version name"]
    assert f"{acceptor.maximum_length} bytes" == parameters["Maximum PDU size received"]
    assert acceptor.asynchronous_operations == (1, 1)
    context_name = acceptor.primitive.application_context_name
    assert context_name == parameters["Application context name"]
    association.release()


def test_the_timers_are_those_of_the_settings(spoken: Spoken) -> None:
    wanted, said = spoken.box.settings, spoken.statement.parameters
    timeouts = wanted.query.timeouts
    assert said["A silent peer is cut off after"] == f"{wanted.ae.stall} s"
    assert said["Association request to establishment"] == f"{timeouts.association} s"
    assert said["One response to the next"] == f"{timeouts.response} s"
    assert said["Establishment to the end"] == f"{timeouts.total} s"


def test_the_statuses_are_those_of_the_profile(spoken: Spoken) -> None:
    rows = {row["Status"]: row["When"] for row in spoken.statement.rows("Status", "Kind", "When")}
    assert {"0000", "B000", "B006", "B007", "A700", "A900", "C000"} < rows.keys()
    strict = spoken.box.settings.ae.profile == "strict"
    assert ("A800" in rows, "FF00" in rows) == (strict, strict)
    assert ("0122" in rows, "0124" in rows) == (not strict, not strict)
    refused = rows["A700" if strict else "0124"]
    assert "not solicited" in refused.lower()
    assert ("A800" in spoken.text.split("Deviations")[1]) == strict


def test_the_keys_of_each_level(spoken: Spoken) -> None:
    rows = spoken.statement.rows("Level", "Attribute", "Tag", "Use")
    uses = {(row["Level"], row["Attribute"]): row["Use"] for row in rows}
    asked = {(level, key) for level, keys in KEYS.items() for key in keys}
    added = {("IMAGE", "SOPClassUID")} if spoken.box.settings.ae.profile == "broad" else set()
    assert uses.keys() == asked | added
    matched = {key for key, use in uses.items() if use.startswith("matching")}
    assert matched == {
        *(("STUDY", key) for key in ("PatientID", "AccessionNumber", "StudyInstanceUID")),
        *(("SERIES", "StudyInstanceUID"), ("IMAGE", "StudyInstanceUID")),
        ("IMAGE", "SeriesInstanceUID"),
    }


def test_what_is_rendered_is_named(spoken: Spoken) -> None:
    rows = spoken.statement.rows("Storage SOP class", "UID", "Role", "Rendered")
    rendered = {row["UID"] for row in rows if row["Rendered"] == "yes"}
    ct, dose, grey_state = (f"1.2.840.10008.5.1.4.1.1.{n}" for n in ("2", "88.67", "11.1"))
    assert ct in rendered
    assert dose not in rendered
    assert grey_state in rendered or grey_state not in spoken.statement.classes


def test_requests_of_ours_are_in_implicit_vr(spoken: Spoken) -> None:
    rows = spoken.statement.rows("Abstract syntax", "UID", "Transfer syntax", "UID", "Role")
    assert len(rows) >= 3
    assert {row["Transfer syntax"] for row in rows} == {"Implicit VR Little Endian"}


def test_the_proposal_for_a_get_is_as_it_says() -> None:
    wanted = settings(1104, replace(SENDER, retrieve="get", query=True))
    proven = [*UNCOMPRESSED, "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.5"]
    said = Statement.read(conformance_statement(wanted, proven))
    rows = said.rows("Proposed with C-GET", "Transfer syntaxes", "Role")
    each, alone = (row["Transfer syntaxes"].split("; ") for row in rows)
    requestor = Requestor(wanted.ae, wanted.query.timeouts, proven=tuple(proven))
    contexts, roles = requestor._get_proposal(())
    found: dict[str, list[list[str]]] = {}
    for context in contexts[1:]:
        names = [UID(syntax).name for syntax in context.transfer_syntax]
        found.setdefault(str(context.abstract_syntax), []).append(names)
    assert found.keys() == said.classes == {str(role.sop_class_uid) for role in roles}
    assert all(syntaxes[0] == each for syntaxes in found.values())
    assert {name for syntaxes in found.values() for (name,) in syntaxes[1:]} == set(alone)
    assert all(role.scp_role and not role.scu_role for role in roles)
    assert len(contexts) <= PROPOSABLE


def test_of_a_get_nothing_is_said_where_no_remote_may_be_asked_for_it() -> None:
    wanted = settings(1104, replace(SENDER, retrieve="move"), ELSEWHERE)
    text = conformance_statement(wanted, UNCOMPRESSED)
    assert "GET" not in text.split("## 4 ")[1].split("### 4.4")[0]


def test_what_is_done_with_each_status_of_a_remote(spoken: Spoken) -> None:
    rows = spoken.statement.rows("Service", "Status received", "Behaviour")
    said = {(row["Service"], row["Status received"]): row["Behaviour"] for row in rows}
    assert {"C-ECHO", "C-FIND", "C-MOVE", "C-MOVE, C-GET"} == {row["Service"] for row in rows}
    assert said["C-FIND", ", ".join(f"{code:04X}" for code in PENDING)].startswith("A match")
    full = ", ".join(f"{code:04X}" for code in REMOTE_OUT_OF_RESOURCES)
    assert "out of resources" in said["C-MOVE, C-GET", full]
    assert "to register the box" in said["C-MOVE", f"{MOVE_DESTINATION_UNKNOWN:04X}"]
    strict = spoken.box.settings.ae.profile == "strict"
    assert ("asked for again at IMAGE level" in spoken.text) != strict


def test_what_nobody_asked_for_and_encryption_are_told_as_they_are(spoken: Spoken) -> None:
    assert spoken.box.settings.tls is None
    assert "Associations are not encrypted" in spoken.text
    policy = spoken.box.settings.ae.unsolicited
    (said,) = spoken.text.split(f"handled as `{policy}`:")[1].strip().splitlines()[:1]
    assert (
        said
        == {
            "discard": "acknowledged with success and discarded.",
            "store": "stored like any other.",
            "refuse": "refused.",
        }[policy]
    )


def rejection(association: Association) -> tuple[str, str, str]:
    answer = association.acceptor.primitive
    assert association.is_rejected
    return tuple(str(each) for each in (answer.result, answer.result_source, answer.diagnostic))


def test_each_rejection_is_as_it_says(spoken: Spoken, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = spoken.statement.rows("Condition", "Result", "Source", "Reason")
    said = {row["Condition"]: (row["Result"][0], row["Source"][0], row["Reason"]) for row in rows}
    port = spoken.box.port
    echo = [ECHO]
    found = {
        "Called AE title is not ours": rejection(associate(port, echo, called="OTHER")),
        "Calling AE title not registered for its address": rejection(
            associate(port, echo, calling="ELSEWHERE")
        ),
    }
    with monkeypatch.context() as changed:
        name = "pynetdicom.acse.APPLICATION_CONTEXT_NAME"
        changed.setattr(name, "1.2.840.10008.3.1.1.2")
        found["Other application context"] = rejection(associate(port, echo))
    with monkeypatch.context() as changed:
        made = A_ASSOCIATE_RQ.__init__

        def of_version_2(self: A_ASSOCIATE_RQ, *arguments: object) -> None:
            made(self, *arguments)
            self.protocol_version = 2

        changed.setattr(A_ASSOCIATE_RQ, "__init__", of_version_2)
        found["Other protocol version"] = rejection(associate(port, echo))
    with monkeypatch.context() as changed:
        changed.setattr(spoken.box.service._admission, "judge", lambda *_: 1 / 0)
        fault = "A fault of the box: it cannot tell who calls"
        found[fault] = rejection(associate(port, echo))
    running = [associate(port, echo) for _ in range(3)]
    found["Too many associations of one remote"] = rejection(associate(port, echo))
    for association in running:
        association.release()
    if "Suspended" in said:
        spoken.box.service.requests.suspend()
        found["Suspended"] = rejection(associate(port, echo))
        spoken.box.service.requests.resume()
    assert found == said


def test_the_remotes_are_those_of_the_settings(spoken: Spoken) -> None:
    columns = ("Remote", "AE title", "Host", "Port", "TLS", "Queried", "Retrieval")
    rows = spoken.statement.rows(*columns)
    assert [(row["Remote"], row["AE title"], row["Host"]) for row in rows] == [
        ("sender", "SENDER", "127.0.0.1"),
        ("elsewhere", "ELSEWHERE", "192.0.2.1"),
    ]


def test_it_follows_the_settings() -> None:
    """Titles, sizes and policies are those in force, not those of another box."""
    wanted = settings(1104, SENDER)
    other = replace(wanted, ae=replace(wanted.ae, title="OTHER_BOX", max_pdu=65536))
    text = conformance_statement(other, ["1.2.840.10008.1.2"])
    assert Statement.read(text).parameters["Maximum PDU size received"] == "65536 bytes"
    assert "`OTHER_BOX`" in text
    assert "HAPPY_netty" not in text
    assert Statement.read(text).syntaxes == ["1.2.840.10008.1.2"]


def test_it_tells_of_the_options_for_de_identification() -> None:
    wanted = settings(1104, SENDER)
    plain = conformance_statement(wanted, ["1.2.840.10008.1.2"])
    assert "without options" in plain
    assert "has no picture" in plain
    chosen = ("clean_descriptors", "retain_long_modified_dates")
    images = replace(wanted.images, options=chosen, burned_in="show")
    text = conformance_statement(replace(wanted, images=images), ["1.2.840.10008.1.2"])
    assert "113105 DCM" in text
    assert "113107 DCM" in text
    assert "113106" not in text
    assert "is shown as it is" in text
