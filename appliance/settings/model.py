"""The settings: one class per table of `netty.toml`, one field per key.

Every field carries its documentation as metadata (`setting_of`): what it means, what may be
written, and where there is no default, a sample. The reader checks against it, and the annotated
example and the reference in the README are made from it, so that no default or limit is written
twice.

Inside the model quantities are whole numbers of bytes, seconds or days; the text carries units.
An absent optional value is None. Instances made in Python are not checked: `reader.read` checks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from datetime import date
from inspect import getdoc
from typing import Any, Literal

from appliance.settings.kinds import (
    Accession,
    AETitle,
    CharacterSet,
    Choice,
    Date,
    Flag,
    Host,
    Kind,
    LocalAddress,
    Name,
    Origin,
    PatientID,
    Pem,
    Pseudonym,
    Rectangle,
    Whole,
)
from appliance.settings.passwords import PasswordHash, TokenHash
from appliance.settings.places import (
    Address,
    Interface,
    InterfaceAddress,
    Link,
    Serial,
    SourceNetwork,
    Token,
    Zone,
)
from appliance.settings.units import DAY, GIB, HOUR, KIB, MIB, MINUTE, TIB, Duration, Size

Profile = Literal["broad", "strict"]
Unsolicited = Literal["discard", "store", "refuse"]
Retrieve = Literal["auto", "move", "get"]
Format = Literal["jpeg", "png", "webp"]
Deidentify = Literal["basic", "clear"]
DeidentifyOption = Literal[
    "retain_safe_private",
    "retain_uids",
    "retain_device_identity",
    "retain_institution_identity",
    "retain_patient_characteristics",
    "retain_long_full_dates",
    "retain_long_modified_dates",
    "clean_descriptors",
    "clean_structured_content",
    "clean_graphics",
]
BurnedIn = Literal["hold", "show"]
Language = Literal["ja", "en"]

KEY = "setting"


@dataclass(frozen=True, slots=True)
class ListOf:
    """A key that takes a list, every entry of one kind."""

    kind: Kind[Any]

    @property
    def expected(self) -> str:
        """What may be written."""
        return f"a list in square brackets, in it {self.kind.expected}"

    def write(self, value: tuple[Any, ...]) -> str:
        """Return the TOML text."""
        return f"[{', '.join(map(self.kind.write, value))}]"


@dataclass(frozen=True, slots=True)
class Table:
    """A key that takes a table (`[ae]`), read into an instance of `model`."""

    model: type


@dataclass(frozen=True, slots=True)
class Tables:
    """A key that takes any number of tables (`[[remote]]`), each an instance of `model`."""

    model: type


@dataclass(frozen=True, slots=True)
class Setting:
    """What one key is: its kind (format and limits), its meaning, and a value to show.

    `sample` is what the example shows for a key without a default, as the model holds it.
    `key` is the name in the file where it differs from the field's.
    """

    kind: Kind[Any] | ListOf | Table | Tables
    meaning: str
    sample: Any = None
    key: str = ""


def setting_of(of: Field[Any]) -> Setting:
    """Return the documentation that a field of the model carries."""
    setting: Setting = of.metadata[KEY]
    return setting


def keys_of(model: type) -> Iterator[tuple[str, Field[Any], Setting]]:
    """Yield the keys of one of the model's classes as the file has them, with field and setting."""
    for each in fields(model):
        setting = setting_of(each)
        yield setting.key or each.name, each, setting


def _means(kind: Kind[Any] | ListOf, meaning: str, *, sample: Any = None) -> Mapping[str, Setting]:
    return {KEY: Setting(kind, meaning, sample)}


def _table(kind: Table | Tables, *, key: str = "") -> Mapping[str, Setting]:
    """Document a table with the words of its class."""
    return {KEY: Setting(kind, getdoc(kind.model) or "", key=key)}


@dataclass(frozen=True, slots=True)
class Box:
    """The box itself."""

    name: str = field(
        default="netty",
        metadata=_means(Name(), "What people call this box, on the status page and in logs."),
    )
    language: Language = field(
        default="ja",
        metadata=_means(
            Choice.of(Language),
            "The language of the status page, where the visitor's browser asks for neither.",
        ),
    )
    timezone: str = field(
        default="Asia/Tokyo",
        metadata=_means(Zone(), "The time zone of the place where the box stands."),
    )
    serials: tuple[str, ...] = field(
        default=(),
        metadata=_means(
            ListOf(Serial()),
            "The serial numbers of the boxes for which this file is. Any other refuses it. Empty: "
            "it is for every box.",
        ),
    )


@dataclass(frozen=True, slots=True)
class Network:
    """How the box joins the network. A PC that runs the software leaves its network alone."""

    dhcp: bool | None = field(
        default=None,
        metadata=_means(
            Flag(),
            "Whether the network tells the box its address. Absent: it does, unless address is "
            "given.",
            sample=False,
        ),
    )
    address: str | None = field(
        default=None,
        metadata=_means(
            InterfaceAddress(), "The box's fixed address, without DHCP.", sample="192.0.2.5/24"
        ),
    )
    gateway: str | None = field(
        default=None,
        metadata=_means(
            Address(),
            "The router to other networks, beside a fixed address. Absent: only machines of the "
            "same network are reached.",
            sample="192.0.2.1",
        ),
    )
    dns: tuple[str, ...] = field(
        default=(),
        metadata=_means(
            ListOf(Address()),
            "The name servers. Empty: those that DHCP names.",
        ),
    )
    ntp: tuple[str, ...] = field(
        default=(),
        metadata=_means(ListOf(Host()), "The time servers. Empty: those that DHCP names."),
    )
    vlan: int | None = field(
        default=None,
        metadata=_means(
            Whole(1, 4094),
            "The number of the VLAN (IEEE 802.1Q) in which the box is. Absent: untagged.",
            sample=20,
        ),
    )
    interface: str | None = field(
        default=None,
        metadata=_means(
            Interface(),
            "The network interface to use, on a box with several. Absent: every wired one.",
            sample="eth0",
        ),
    )

    @property
    def by_dhcp(self) -> bool:
        """Whether the network tells the box its address."""
        return self.address is None if self.dhcp is None else self.dhcp


@dataclass(frozen=True, slots=True)
class Panel:
    """The status page: health for everybody by HTTP, all else by HTTPS after login."""

    password: str | None = field(
        default=None,
        repr=False,
        metadata=_means(
            PasswordHash(),
            "The technician's password, as the command appliance password prints it. Absent: "
            "nobody can log in.",
            sample=f"scrypt$16384$8$5${'A' * 22}${'A' * 43}",
        ),
    )
    token: str | None = field(
        default=None,
        repr=False,
        metadata=_means(
            TokenHash(),
            "The token with which programs read catalogue, pictures and figures, as the command "
            "appliance token prints it. Absent: none can.",
            sample=f"sha256${'A' * 43}",
        ),
    )
    certificate: str | None = field(
        default=None,
        metadata=_means(
            Pem("CERTIFICATE"),
            "The page's certificate in PEM, between three single quotes; below it the "
            "intermediate ones, if any. Absent: one that the box makes itself.",
            sample=Pem("CERTIFICATE").sample,
        ),
    )
    key: str | None = field(
        default=None,
        repr=False,
        metadata=_means(
            Pem("PRIVATE KEY"),
            "The private key of that certificate in PEM, without a password.",
            sample=Pem("PRIVATE KEY").sample,
        ),
    )
    allow_from: tuple[str, ...] = field(
        default=(),
        metadata=_means(
            ListOf(SourceNetwork()),
            "The addresses and networks from which the page may be visited. Empty: from "
            "everywhere.",
        ),
    )


@dataclass(frozen=True, slots=True)
class Fleet:
    """A server of Eclipse hawkBit that tells many boxes what to run. Without it there is none."""

    server: str = field(
        metadata=_means(Link(), "The address of the server.", sample="https://hawkbit.example")
    )
    token: str = field(
        repr=False,
        metadata=_means(
            Token(), "The token by which the server knows this box (target token).", sample="secret"
        ),
    )
    tenant: str = field(
        default="DEFAULT", metadata=_means(Name(), "The server's name for this fleet (tenant).")
    )


@dataclass(frozen=True, slots=True)
class Update:
    """New versions of the box's software."""

    url: str | None = field(
        default=None,
        metadata=_means(
            Link(),
            "The address of the newest update. The box looks there every day, and installs what "
            "it does not run yet. Absent: it looks nowhere.",
            sample="https://updates.example/netty.raucb",
        ),
    )
    while_receiving: bool = field(
        default=False,
        metadata=_means(
            Flag(),
            "Whether an update is installed even while images are being received, and the box "
            "restarted in the middle of that. false: it is refused until they are there.",
        ),
    )


@dataclass(frozen=True, slots=True)
class LocalAE:
    """Our own DICOM application entity: what a remote must know to call us, and how we answer."""

    title: str = field(
        default="HAPPY_netty",
        metadata=_means(
            AETitle(),
            "Our AE title. The PACS administrator registers it, with our address and port, as a "
            "destination. Associations that call another title are rejected.",
        ),
    )
    port: int = field(
        default=104,
        metadata=_means(Whole(1, 65535), "The TCP port on which we accept associations."),
    )
    address: str = field(
        default="",
        metadata=_means(
            LocalAddress(),
            "The address of our own on which we listen. Empty: on every network interface.",
        ),
    )
    max_pdu: int = field(
        default=16 * KIB,
        metadata=_means(
            Size(4 * KIB, 128 * KIB),
            "The largest PDU that we let a remote send. Larger is faster on a good network.",
        ),
    )
    profile: Profile = field(
        default="broad",
        metadata=_means(
            Choice.of(Profile),
            "Which SOP classes and transfer syntaxes we accept. strict: exactly those of the "
            "conformance statement, in Implicit VR Little Endian. broad: these and every other "
            "that we can render or keep, in every transfer syntax that we can decode.",
        ),
    )
    unsolicited: Unsolicited = field(
        default="discard",
        metadata=_means(
            Choice.of(Unsolicited),
            "What becomes of an instance that we did not ask for. discard: acknowledged, counted "
            "and forgotten. store: kept like any other. refuse: answered with an error.",
        ),
    )
    associations_per_remote: int = field(
        default=16,
        metadata=_means(
            Whole(1, 1024),
            "How many associations one remote may hold at the same time, so that it cannot starve "
            "the others.",
        ),
    )
    stall: int = field(
        default=60,
        metadata=_means(
            Duration(1, HOUR), "A remote that says nothing for so long in mid-association is cut."
        ),
    )
    largest_header: int = field(
        default=64 * MIB,
        metadata=_means(
            Size(MIB, GIB),
            "The largest part of a dataset before its pixels. It is held in memory while it is "
            "de-identified; a dataset with more is refused.",
        ),
    )


@dataclass(frozen=True, slots=True)
class TLS:
    """A second port that speaks TLS. Without this table there is none."""

    certificate: str = field(
        metadata=_means(
            Pem("CERTIFICATE"),
            "Our certificate in PEM, between three single quotes; below it the intermediate ones, "
            "if any.",
            sample=Pem("CERTIFICATE").sample,
        )
    )
    key: str = field(
        repr=False,
        metadata=_means(
            Pem("PRIVATE KEY"),
            "The private key of that certificate in PEM, without a password.",
            sample=Pem("PRIVATE KEY").sample,
        ),
    )
    authorities: str | None = field(
        default=None,
        metadata=_means(
            Pem("CERTIFICATE"),
            "The certificates, in PEM, of the authorities whose remotes we trust. Needed where "
            "require_certificate is true. Absent: those of the operating system.",
            sample=Pem("CERTIFICATE").sample,
        ),
    )
    port: int = field(
        default=2762,
        metadata=_means(Whole(1, 65535), "The TCP port on which we accept associations over TLS."),
    )
    require_certificate: bool = field(
        default=True,
        metadata=_means(
            Flag(), "Whether a remote that calls the TLS port must show a certificate we trust."
        ),
    )


@dataclass(frozen=True, slots=True)
class RemoteAE:
    """A DICOM application entity that we know: a PACS, a modality, a workstation.

    One table for each. Nobody else may call us.
    """

    name: str = field(
        metadata=_means(
            Name(),
            "What we call this remote, here and on the command line. Each has a name of its own.",
            sample="main",
        )
    )
    title: str = field(
        metadata=_means(AETitle(), "Its AE title, in exactly its letters.", sample="PACS")
    )
    host: str = field(metadata=_means(Host(), "Its address or host name.", sample="192.0.2.10"))
    port: int = field(
        default=104, metadata=_means(Whole(1, 65535), "The TCP port on which it listens.")
    )
    query: bool = field(
        default=True,
        metadata=_means(
            Flag(),
            "Whether we ask it for studies. false: it may only send to us.",
        ),
    )
    retrieve: Retrieve = field(
        default="auto",
        metadata=_means(
            Choice.of(Retrieve),
            "How we fetch from it. move: it opens an association to us (C-MOVE), for which its "
            "administrator must have registered us. get: it answers on ours (C-GET). auto: move, "
            "and get when the move cannot reach us.",
        ),
    )
    relational: bool = field(
        default=False,
        metadata=_means(
            Flag(),
            "Whether it accepts relational queries. false: study, series, image, one within the "
            "other, as every PACS does.",
        ),
    )
    character_set: str | None = field(
        default=None,
        metadata=_means(
            CharacterSet(),
            "The character set of its datasets that name none. Needed only for a remote that "
            "writes other than English text and does not say in which character set.",
            sample="\\ISO 2022 IR 87",
        ),
    )
    calls_as: tuple[str, ...] = field(
        default=(),
        metadata=_means(
            ListOf(AETitle()),
            "The AE titles under which it calls us, where they are not its own title. Empty: its "
            "title.",
        ),
    )
    calls_from: tuple[str, ...] = field(
        default=(),
        metadata=_means(
            ListOf(Origin()),
            "The addresses, host names or networks from which it calls us, where they are not its "
            "own host. Empty: its host.",
        ),
    )
    tls: bool = field(
        default=False,
        metadata=_means(
            Flag(),
            "Whether we call it over TLS. The port is then that of its TLS service. Needs [tls].",
        ),
    )

    @property
    def calling_titles(self) -> tuple[str, ...]:
        """The AE titles under which it may call us."""
        return self.calls_as or (self.title,)

    @property
    def origins(self) -> tuple[str, ...]:
        """The addresses, host names and CIDR networks from which it may call us."""
        return self.calls_from or (self.host,)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """When a query or a retrieval that does not end is given up."""

    association: int = field(
        default=60,
        metadata=_means(
            Duration(1, HOUR), "The longest time from the request to the established association."
        ),
    )
    response: int = field(
        default=60,
        metadata=_means(
            Duration(1, HOUR),
            "The longest time from one response to the next. An instance that arrives counts as "
            "a response.",
        ),
    )
    total: int = field(
        default=1000,
        metadata=_means(
            Duration(1, DAY), "The longest time from the established association to its end."
        ),
    )


@dataclass(frozen=True, slots=True)
class Query:
    """When and how remotes are asked for what the watched patients have."""

    every: int = field(
        default=15 * MINUTE,
        metadata=_means(Duration(1, 7 * DAY), "How often the remotes are asked."),
    )
    use_accession: bool = field(
        default=False,
        metadata=_means(
            Flag(),
            "Whether the accession number of a watch entry is sent as a matching key. false: it "
            "is ignored.",
        ),
    )
    study_window: int | None = field(
        default=None,
        metadata=_means(
            Duration(DAY, 36500 * DAY),
            "Only studies not older than this are fetched. Absent: all of them.",
            sample=90 * DAY,
        ),
    )
    timeouts: Timeouts = field(
        default=Timeouts(),
        metadata=_table(Table(Timeouts)),
    )
    settle: int = field(
        default=10,
        metadata=_means(
            Duration(0, HOUR),
            "How long after the last response of a retrieval its instances may still arrive.",
        ),
    )
    retry_first: int = field(
        default=MINUTE,
        metadata=_means(
            Duration(1, DAY),
            "The pause after a first failure. Each further failure doubles it.",
        ),
    )
    retry_longest: int = field(
        default=6 * HOUR,
        metadata=_means(
            Duration(1, 7 * DAY),
            "The longest pause between two attempts; a week where a study comes but for a rest.",
        ),
    )


@dataclass(frozen=True, slots=True)
class Watch:
    """A patient whose images are wanted. One table for each."""

    patient_id: str = field(
        repr=False,
        metadata=_means(
            PatientID(), "The patient's number, exactly as the PACS has it.", sample="00012345"
        ),
    )
    pseudonym: str | None = field(
        default=None,
        metadata=_means(
            Pseudonym(),
            "What stands for the patient in everything that leaves the box. Absent: one that "
            "the box derives with its key.",
            sample="NET-0001",
        ),
    )
    accession: str | None = field(
        default=None,
        repr=False,
        metadata=_means(
            Accession(),
            "Only the study with this accession number, where query.use_accession is true.",
            sample="A0001",
        ),
    )
    since: date | None = field(
        default=None,
        metadata=_means(Date(), "Only studies of this day and later.", sample=date(2025, 4, 1)),
    )
    remotes: tuple[str, ...] = field(
        default=(),
        metadata=_means(
            ListOf(Name()),
            "The names of the remotes to ask. Empty: all that may be queried.",
        ),
    )


@dataclass(frozen=True, slots=True)
class Images:
    """What is made of a received dataset."""

    format: Format = field(
        default="jpeg", metadata=_means(Choice.of(Format), "The format of the pictures.")
    )
    quality: int = field(
        default=90,
        metadata=_means(
            Whole(1, 100),
            "The quality of JPEG and WebP pictures, higher for better and larger ones. PNG loses "
            "nothing at any.",
        ),
    )
    keep_dicom: bool = field(
        default=True,
        metadata=_means(
            Flag(),
            "Whether the de-identified DICOM file is kept beside its pictures. false: it is "
            "removed once they are safely on the disk.",
        ),
    )
    deidentify: Deidentify = field(
        default="basic",
        metadata=_means(
            Choice.of(Deidentify),
            "What is removed before anything is written to the disk. basic: everything that the "
            "Basic Application Level Confidentiality Profile names (DICOM PS3.15 Annex E). clear: "
            "the values of the identifying elements that the conformance statement lists.",
        ),
    )
    options: tuple[str, ...] = field(
        default=(),
        metadata=_means(
            ListOf(Choice.of(DeidentifyOption)),
            "What basic leaves in after all: options of the profile (DICOM PS3.15 Section E.3). "
            "retain_…: safe private elements, UIDs (then names of files and folders are those of "
            "the PACS), device, institution, sex, age and size of the patient, dates; dates in "
            "full, or modified: moved by a number of days that is the patient's own. clean_…: "
            "descriptions, reports and graphics keep what cannot tell who it is: known words of "
            "imaging and codes, without names and numbers. Faces in pixels are not made "
            "unrecognizable.",
        ),
    )
    burned_in: BurnedIn = field(
        default="hold",
        metadata=_means(
            Choice.of(BurnedIn),
            "What becomes of an image that says there is text burned into its pixels (Burned In "
            "Annotation YES) and that no rule for masks covers. hold: it gets no picture, and the "
            "reason is kept. show: it is shown as it is.",
        ),
    )
    recipients: str | None = field(
        default=None,
        metadata=_means(
            Pem("CERTIFICATE"),
            "The certificates, in PEM, of those who may undo what basic does: with a private key "
            "of theirs, an RSA key, they read what was removed, which goes along encrypted (DICOM "
            "PS3.15 Section E.1.1). Absent: nobody can.",
            sample=Pem("CERTIFICATE").sample,
        ),
    )
    workers: int = field(
        default=0,
        metadata=_means(
            Whole(0, 256), "How many processes render pictures. 0: one for each processor."
        ),
    )
    animation: bool = field(
        default=True,
        metadata=_means(
            Flag(),
            "Whether an image of several frames gets, beside a picture of each frame, a moving one "
            "(WebP) that shows them at the rate at which they were taken.",
        ),
    )
    overlays: bool = field(
        default=True,
        metadata=_means(
            Flag(),
            "Whether overlays, the graphics that some devices keep beside the pixels, are drawn "
            'into the pictures. There are none where deidentify is "basic", which removes them.',
        ),
    )
    largest_frame: int = field(
        default=256,
        metadata=_means(
            Whole(1, 4096, "millions of pixels"),
            "The largest image, or frame of one, of which a picture is made, in millions of "
            "pixels. A larger one is kept without a picture.",
        ),
    )
    most_frames: int = field(
        default=100_000,
        metadata=_means(
            Whole(1, 1_000_000),
            "The most frames an image may have for pictures to be made of it.",
        ),
    )


@dataclass(frozen=True, slots=True)
class Mask:
    """Where images of one make have text in their pixels. Read before the rules that come with it.

    The first rule whose keys are all those of an image blacks it out, in the picture and in the
    DICOM file that is kept. A * stands for any text. A rule that says nothing to black out says
    that these images have no text in them.
    """

    manufacturer: str | None = field(
        default=None,
        metadata=_means(Name(), "Manufacturer (0008,0070). Absent: any.", sample="ACME Medical*"),
    )
    model: str | None = field(
        default=None,
        metadata=_means(
            Name(), "Manufacturer's Model Name (0008,1090). Absent: any.", sample="Scan 3000"
        ),
    )
    modality: str | None = field(
        default=None, metadata=_means(Name(), "Modality (0008,0060). Absent: any.", sample="US")
    )
    rows: int | None = field(
        default=None,
        metadata=_means(Whole(1, 65535), "Rows (0028,0010). Absent: any number.", sample=768),
    )
    columns: int | None = field(
        default=None,
        metadata=_means(Whole(1, 65535), "Columns (0028,0011). Absent: any number.", sample=1024),
    )
    blank: tuple[tuple[int, int, int, int], ...] = field(
        default=(),
        metadata=_means(ListOf(Rectangle()), "The rectangles that are blacked out."),
    )
    keep: tuple[tuple[int, int, int, int], ...] = field(
        default=(),
        metadata=_means(
            ListOf(Rectangle()),
            "The rectangles outside of which all is blacked out. Empty: blank says what.",
        ),
    )
    regions: bool = field(
        default=False,
        metadata=_means(
            Flag(),
            "Whether the image's own regions (Sequence of Ultrasound Regions) are such rectangles, "
            "too. An image without regions is then not covered.",
        ),
    )


@dataclass(frozen=True, slots=True)
class Storage:
    """How much of the disk is used, and for how long."""

    reserve: int = field(
        default=2 * GIB,
        metadata=_means(
            Size(MIB, 64 * TIB),
            "Space that is never used. When it would be touched, instances are refused and "
            "retrieval pauses until space returns.",
        ),
    )
    keep_days: int | None = field(
        default=None,
        metadata=_means(
            Whole(1, 36500, "days"),
            "Studies that are complete and rendered are removed after so many days. Absent: never.",
            sample=365,
        ),
    )
    quota: int | None = field(
        default=None,
        metadata=_means(
            Size(MIB, 1024 * TIB),
            "When more than this is held, the oldest complete studies are removed. Absent: no "
            "limit but the reserve.",
            sample=500 * GIB,
        ),
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole of `netty.toml`."""

    revision: int = field(
        metadata=_means(
            Whole(1, 2**63 - 1),
            "The number of this version of the file. It must grow with each change.",
            sample=1,
        )
    )
    box: Box = field(default=Box(), metadata=_table(Table(Box)))
    network: Network = field(default=Network(), metadata=_table(Table(Network)))
    panel: Panel = field(default=Panel(), metadata=_table(Table(Panel)))
    update: Update = field(default=Update(), metadata=_table(Table(Update)))
    fleet: Fleet | None = field(default=None, metadata=_table(Table(Fleet)))
    ae: LocalAE = field(default=LocalAE(), metadata=_table(Table(LocalAE)))
    tls: TLS | None = field(default=None, metadata=_table(Table(TLS)))
    remotes: tuple[RemoteAE, ...] = field(
        default=(), metadata=_table(Tables(RemoteAE), key="remote")
    )
    query: Query = field(default=Query(), metadata=_table(Table(Query)))
    watch: tuple[Watch, ...] = field(default=(), metadata=_table(Tables(Watch)))
    images: Images = field(default=Images(), metadata=_table(Table(Images)))
    masks: tuple[Mask, ...] = field(default=(), metadata=_table(Tables(Mask), key="mask"))
    storage: Storage = field(default=Storage(), metadata=_table(Table(Storage)))

    def remote(self, name: str) -> RemoteAE:
        """Return the remote of this name; LookupError naming those there are, if there is none."""
        for remote in self.remotes:
            if remote.name == name:
                return remote
        known = ", ".join(remote.name for remote in self.remotes) or "none"
        raise LookupError(f"no remote is named {name!r}; the settings know: {known}")
