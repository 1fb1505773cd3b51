"""How the box is: one state from all that is known of it (section 12 of the design).

`state` is a function of `Facts` alone. The first row of `ROWS` that applies names the state; what
else is wrong is told with it. Every problem says in Japanese and English what is wrong and who can
mend it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from appliance.health.reports import RemoteReport

Name = Literal[
    "writing",
    "fault",
    "rejected",
    "accepted",
    "degraded",
    "unprovisioned",
    "starting",
    "working",
]
Colour = Literal["green", "amber", "red"]
Rhythm = Literal["steady", "slow", "fast", "two", "three"]
"""`slow` and `fast` blink evenly; `two` and `three` are blinks between pauses."""

Partition = Literal["sound", "waiting", "read-only", "broken"]
Service = Literal["working", "starting", "failing", "silent", "stopped"]


@dataclass(frozen=True, slots=True)
class Light:
    """What the LED shows."""

    colour: Colour
    rhythm: Rhythm = "steady"


LIGHTS: Final[dict[Name, Light]] = {
    "writing": Light("amber", "fast"),
    "fault": Light("red"),
    "rejected": Light("red", "two"),
    "accepted": Light("green", "three"),
    "degraded": Light("amber"),
    "unprovisioned": Light("amber", "slow"),
    "starting": Light("green", "slow"),
    "working": Light("green"),
}


@dataclass(frozen=True, slots=True)
class Text:
    """The same in both languages of the box."""

    ja: str
    en: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it should be, or that somebody waits for."""

    what: Text
    who: Text
    """Who can mend it, and how."""
    detail: str = ""
    """What the part concerned says of it, as it says it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the state depends on. As it stands here, all is well."""

    unknown: str = ""
    """Why it cannot be known how the box is."""
    resetting: bool = False
    """The factory state is being restored."""
    updating: bool = False
    """Firmware is being written."""
    state_partition: Partition = "sound"
    data_partition: Partition = "sound"
    budget_spent: bool = False
    service: Service = "working"
    failure: str = ""
    """Why the AE does not start, if it said so."""
    provisioned: bool = True
    stick: Literal["", "applying", "rejected", "accepted"] = ""
    """What became of the provisioning stick that is plugged."""
    stick_sentence: str = ""
    suspended: bool = False
    space: Literal["enough", "nearly full", "full"] = "enough"
    obstacle: str = ""
    """Why no pictures are made."""
    unreachable: tuple[RemoteReport, ...] = ()
    """Remote AEs that did not answer when they were asked last."""
    clock_doubtful: bool = False
    """The clock should have been set by a time server, and was not."""
    rolled_back: bool = False
    """An update was tried and given up."""
    trial: bool = False
    """An update is being tried."""
    update_sentence: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """How the box is."""

    name: Name
    problems: tuple[Problem, ...] = ()
    """The gravest first."""

    @property
    def light(self) -> Light:
        """What the LED shows."""
        return LIGHTS[self.name]


def state(facts: Facts) -> State:
    """The state of a box of which `facts` are known: the first row that applies."""
    found = [(name, row(facts)) for name, row in ROWS]
    names = [name for name, problems in found if problems]
    told = [
        problem
        for name, problems in found
        if name in _ALWAYS_TOLD or name in names[:1]
        for problem in problems
    ]
    return State(names[0] if names else "working", tuple(told))


_CLINIC: Final = Text("この医院の方", "Anyone at the clinic")
_TECHNICIAN: Final = Text("販売店の技術者", "The vendor's technician")
_PACS: Final = Text("PACS の管理者", "The administrator of the PACS")
_NOBODY: Final = Text(
    "お待ちください。操作は不要です。", "Nobody needs to do anything; please wait."
)


def _who(who: Text, ja: str, en: str) -> Text:
    return Text(f"{who.ja}：{ja}", f"{who.en}: {en}")


def _writing(facts: Facts) -> tuple[Problem, ...]:
    problems = []
    leave = Text(
        "電源を切らずにお待ちください。切れた場合は、次の起動時にやり直します。",
        "Leave it switched on. Should the power fail, the next start does it again.",
    )
    if facts.resetting:
        what = Text("工場出荷時の状態に戻しています", "The factory state is being restored")
        problems.append(Problem(what, leave, facts.update_sentence))
    if facts.updating:
        what = Text("ソフトウェアを更新しています", "New software is being written")
        problems.append(Problem(what, leave, facts.update_sentence))
    return tuple(problems)


def _fault(facts: Facts) -> tuple[Problem, ...]:
    return (*_broken(facts), *_does_not_run(facts))


def _broken(facts: Facts) -> list[Problem]:
    problems = []
    if facts.unknown:
        what = Text("本機の状態を確認できません", "It cannot be known how this box is")
        who = _who(
            _CLINIC,
            "電源を入れ直してください。直らなければ技術者に連絡してください。",
            "switch it off and on; if that does not help, call the technician.",
        )
        problems.append(Problem(what, who, facts.unknown))
    for partition, ja, en in (
        (facts.state_partition, "設定の保存領域", "The storage of the settings"),
        (facts.data_partition, "画像の保存領域", "The storage of the images"),
    ):
        if partition in ("broken", "read-only"):
            what = (
                Text(f"{ja}が壊れています", f"{en} is broken")
                if partition == "broken"
                else Text(f"{ja}に書き込めません", f"{en} cannot be written to")
            )
            who = _who(
                _TECHNICIAN,
                "ディスクを点検または交換してください。データは消去されていません。",
                "check or replace the disk. Nothing has been erased.",
            )
            problems.append(Problem(what, who))
    return problems


def _does_not_run(facts: Facts) -> list[Problem]:
    problems = []
    if facts.budget_spent:
        what = Text(
            "画像の受信が何度も異常終了したため、停止しました",
            "Receiving images crashed again and again, and is left alone",
        )
        who = _who(
            _CLINIC,
            "電源を入れ直してください。1 時間後には自動で再試行します。続く場合は技術者に連絡。",
            "switch the box off and on. After an hour it tries again by itself. If it stays so, "
            "call the technician.",
        )
        problems.append(Problem(what, who))
    elif not facts.provisioned or facts.data_partition != "sound":
        return problems
    elif facts.service == "failing":
        what = Text("画像の受信を開始できません", "Receiving images cannot be started")
        who = _who(
            _TECHNICIAN,
            "下の説明に従ってください。本機は自動で再試行を続けます。",
            "do as it says below. The box keeps trying by itself.",
        )
        problems.append(Problem(what, who, facts.failure))
    elif facts.service == "silent":
        what = Text("画像の受信が応答しません", "Receiving images does not respond")
        who = Text(
            "自動で再起動します。お待ちください。", "It is restarted by itself; please wait."
        )
        problems.append(Problem(what, who))
    elif facts.service == "stopped":
        what = Text("画像の受信が停止しています", "Receiving images is stopped")
        who = _who(_CLINIC, "電源を入れ直してください。", "switch the box off and on.")
        problems.append(Problem(what, who, facts.failure))
    return problems


def _rejected(facts: Facts) -> tuple[Problem, ...]:
    if facts.stick != "rejected":
        return ()
    what = Text("USB メモリの内容を受け付けませんでした", "What is on the USB stick was rejected")
    who = _who(
        _TECHNICIAN,
        "USB メモリに書かれた結果を見て直し、もう一度挿してください。以前のまま動作しています。",
        "mend what the answer on the stick says, and plug it again. Nothing was changed.",
    )
    return (Problem(what, who, facts.stick_sentence),)


def _accepted(facts: Facts) -> tuple[Problem, ...]:
    if facts.stick != "accepted":
        return ()
    what = Text("USB メモリの内容を受け付けました", "What is on the USB stick was accepted")
    who = _who(_CLINIC, "USB メモリを抜いてください。", "remove the USB stick.")
    return (Problem(what, who, facts.stick_sentence),)


def _degraded(facts: Facts) -> tuple[Problem, ...]:
    return (*_at_rest(facts), *map(_unreachable, facts.unreachable), *_doubts(facts))


def _at_rest(facts: Facts) -> list[Problem]:
    problems = []
    if facts.suspended:
        what = Text("一時停止中です。画像を受信しません", "Suspended: no images are taken")
        who = _who(_TECHNICIAN, "一時停止を解除してください。", "end the suspension.")
        problems.append(Problem(what, who))
    if facts.space != "enough":
        what = (
            Text("保存領域が一杯です。画像を受信しません", "The disk is full: no images are taken")
            if facts.space == "full"
            else Text("保存領域が残りわずかです", "The disk is nearly full")
        )
        who = _who(
            _TECHNICIAN,
            "設定の保存期間か上限を短くしてください。空きができれば自動で再開します。",
            "shorten how long images are kept, in the settings. With room, it goes on by itself.",
        )
        problems.append(Problem(what, who))
    # Of a full disk one sentence is enough, and it is the one that says what to do.
    if facts.obstacle and facts.space != "full":
        what = Text("画像を作成できません", "No pictures can be made")
        who = _who(_TECHNICIAN, "下の説明に従ってください。", "do as it says below.")
        problems.append(Problem(what, who, facts.obstacle))
    return problems


def _unreachable(remote: RemoteReport) -> Problem:
    what = Text(f"{remote.name} に接続できません", f"{remote.name} does not answer as it should")
    who = _who(
        _PACS,
        "下の説明を確認してください。本機は自動で再試行を続けます。",
        "see what it says below. The box keeps trying by itself.",
    )
    return Problem(what, who, remote.failure)


def _doubts(facts: Facts) -> list[Problem]:
    problems = []
    if facts.clock_doubtful:
        what = Text("時計が正しいか確認できません", "The clock may be wrong")
        who = _who(
            _TECHNICIAN,
            "設定の時刻サーバー（ntp）に接続できるか確認してください。",
            "see that the time server of the settings (ntp) can be reached.",
        )
        problems.append(Problem(what, who))
    if facts.rolled_back:
        what = Text(
            "更新は成功せず、以前のソフトウェアに戻りました",
            "An update did not work; the software before it is back",
        )
        who = _who(_TECHNICIAN, "更新ファイルを確認してください。", "see to the update.")
        problems.append(Problem(what, who, facts.update_sentence))
    return problems


def _unprovisioned(facts: Facts) -> tuple[Problem, ...]:
    if facts.provisioned or facts.stick == "applying":
        return ()
    what = Text("設定がまだありません", "There are no settings yet")
    who = _who(
        _TECHNICIAN,
        "netty.toml を入れた USB メモリを挿してください。",
        "plug in a USB stick with netty.toml on it.",
    )
    return (Problem(what, who),)


def _starting(facts: Facts) -> tuple[Problem, ...]:
    if facts.stick == "applying":
        what = Text("新しい設定を試しています", "New settings are being tried")
    elif facts.trial:
        what = Text("新しいソフトウェアを試しています", "New software is being tried")
    elif facts.service != "working" or "waiting" in (facts.state_partition, facts.data_partition):
        what = Text("起動しています", "Starting")
    else:
        return ()
    return (Problem(what, _NOBODY),)


ROWS: Final[tuple[tuple[Name, Callable[[Facts], tuple[Problem, ...]]], ...]] = (
    ("writing", _writing),
    ("fault", _fault),
    ("rejected", _rejected),
    ("accepted", _accepted),
    ("degraded", _degraded),
    ("unprovisioned", _unprovisioned),
    ("starting", _starting),
)
"""The table of section 12, in its order; a row applies when it has something to say."""

_ALWAYS_TOLD: Final[frozenset[Name]] = frozenset(("fault", "degraded"))
"""What is wrong is told even while the LED shows something graver or more urgent."""
