"""What the page says, in Japanese and English."""

from collections.abc import Mapping
from typing import Final, Literal

from appliance.health.state import Text

Language = Literal["ja", "en"]
LANGUAGES: Final[tuple[Language, ...]] = ("ja", "en")

STATES: Final[Mapping[str, Text]] = {
    "writing": Text("書き込み中です。電源を切らないでください", "Writing. Leave it switched on"),
    "fault": Text("異常があります", "Fault"),
    "rejected": Text("設定を受け付けませんでした", "Settings rejected"),
    "accepted": Text("設定を受け付けました", "Settings accepted"),
    "degraded": Text("確認が必要です", "Needs attention"),
    "unprovisioned": Text("設定を待っています", "Waiting for settings"),
    "starting": Text("準備中です", "Starting"),
    "working": Text("正常に動作しています", "Working"),
    "unknown": Text("状態が分かりません", "State unknown"),
}

WORDS: Final[Mapping[str, Text]] = {
    "other": Text("English", "日本語"),
    "box": Text("netty box", "netty box"),
    "since": Text("{}から", "for {}"),
    "problems": Text("気づいたこと", "What to know"),
    "who": Text("対応", "What to do"),
    "detail": Text("詳細", "In detail"),
    "remotes": Text("接続先", "Remote systems"),
    "reached": Text("{}に応答", "answered {}"),
    "failed": Text("応答なし", "no answer"),
    "last": Text("最後の応答は {}", "last answered {}"),
    "never": Text("まだ問い合わせていません", "not asked yet"),
    "none": Text("接続先は登録されていません", "The settings name none"),
    "held": Text("保存済みの画像", "Images held"),
    "studies": Text("検査", "Studies"),
    "outstanding": Text("受信待ち", "Still to come"),
    "queued": Text("変換待ち", "To be rendered"),
    "failed_images": Text("変換できなかった画像", "Could not be rendered"),
    "free": Text("空き容量", "Space left"),
    "figures": Text("画像", "Images"),
    "this": Text("この装置", "This box"),
    "title": Text("AE タイトル", "AE title"),
    "port": Text("ポート", "Port"),
    "revision": Text("設定の版", "Settings revision"),
    "version": Text("ソフトウェア", "Software"),
    "address": Text("アドレス", "Address"),
    "clock": Text("時計", "Clock"),
    "trusted": Text("時刻サーバーと同期済み", "set by a time server"),
    "untrusted": Text("時刻サーバーと未同期", "not set by a time server"),
    "down": Text(
        "画像の受信は動作していません。再開すると、ここに件数が表示されます。",
        "Receiving images does not run. Its figures are here as soon as it does.",
    ),
    "waiting": Text("設定のしかた", "How to set it up"),
    "nothing": Text("ページがありません", "There is no such page"),
    "back": Text("状態のページへ", "To the state of the box"),
}


STEPS: Final = (
    Text(
        "パソコンで netty.toml を用意し、FAT32 または exFAT の USB メモリの一番上に入れます。",
        "On a PC, write netty.toml, and put it at the top of a USB stick with FAT32 or exFAT.",
    ),
    Text(
        "USB メモリをこの装置に挿します。ランプが緑でゆっくり点滅し、設定を試します。",
        "Plug the stick into this box. The light blinks green, slowly: the settings are tried.",
    ),
    Text(
        "緑で 3 回ずつ点滅したら、USB メモリを抜いてください。"
        "赤で 2 回ずつ点滅したら、理由が USB メモリに書かれています。",
        "Three green blinks at a time: remove the stick. "
        "Two red ones: the reason is written on the stick.",
    ),
)
"""What to do with a box that has no settings."""


def chosen(asked: str | None, accepted: str, default: str) -> Language:
    """The language of an answer: asked for by address, else by browser, else the box's own."""
    for language in LANGUAGES:
        if asked == language:
            return language
    wanted = [one for one in map(_ranged, accepted[:500].split(",")) if one is not None]
    if wanted:
        return max(wanted, key=lambda one: one[0])[1]
    return "en" if default == "en" else "ja"


def _ranged(part: str) -> tuple[float, Language] | None:
    """One range of Accept-Language with its quality (RFC 9110, 12.5.4); None if not ours."""
    tag, _, parameter = part.strip().partition(";")
    try:
        quality = float(parameter.strip().removeprefix("q=") or 1)
    except ValueError:
        return None
    for language in LANGUAGES:
        if tag.strip().lower().split("-")[0] == language and 0 < quality <= 1:
            return quality, language
    return None


def ago(seconds: float, language: Language) -> str:
    """A length of time in its largest unit."""
    for size, ja, en in ((86_400, "日", "day"), (3600, "時間", "hour"), (60, "分", "minute")):
        count = int(seconds // size)
        if count:
            return f"{count} {ja}" if language == "ja" else f"{count} {en}{'s' * (count > 1)}"
    return "1 分未満" if language == "ja" else "less than a minute"


def before_now(seconds: float, language: Language) -> str:
    """How long ago something was; a moment in the future is now: the clock was set back."""
    if seconds < 60:
        return "たった今" if language == "ja" else "just now"
    return f"{ago(seconds, language)}前" if language == "ja" else f"{ago(seconds, language)} ago"


def size(count: int) -> str:
    """Bytes with a unit that suits them."""
    amount, units = float(count), ["B", "KB", "MB", "GB", "TB"]
    while amount >= 1000 and len(units) > 1:
        amount /= 1000
        units.pop(0)
    return (
        f"{amount:.1f} {units[0]}"
        if units[0] != "B" and amount < 10
        else f"{amount:.0f} {units[0]}"
    )
