"""What the page says, in Japanese and English."""

from collections.abc import Callable, Mapping
from typing import Final, Literal

from appliance.health.state import Text

Language = Literal["ja", "en"]
LANGUAGES: Final[tuple[Language, ...]] = ("ja", "en")

STATES: Final[Mapping[str, Text]] = {
    "writing": Text("書き込み中です。電源を切らないでください", "Writing. Leave it switched on"),
    "fault": Text("異常があります", "Fault"),
    "rejected": Text("USB メモリを受け付けませんでした", "Stick rejected"),
    "accepted": Text("USB メモリを抜いてください", "Accepted. Remove the stick"),
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
    "queued": Text("画像作成待ち", "To be rendered"),
    "failed_images": Text("画像にできなかったもの", "Could not be rendered"),
    "figures": Text("保存", "Archive"),
    "fetching": Text("受信中", "Being fetched"),
    "idle": Text("いま受信しているものはありません", "Nothing is being fetched now"),
    "from": Text("{} から", "from {}"),
    "run_found": Text("検出", "found"),
    "run_missing": Text("不足", "missing"),
    "run_arrived": Text("到着", "arrived"),
    "run_rendered": Text("画像作成", "rendered"),
    "left": Text("残り {}", "{} left"),
    "today": Text("今日受信", "Fetched today"),
    "today_image": Text("{} 枚", "{} image"),
    "today_images": Text("{} 枚", "{} images"),
    "today_study": Text("{} 検査", "{} study"),
    "today_studies": Text("{} 検査", "{} studies"),
    "space": Text("空き容量", "Space left"),
    "space_of": Text("{} のうち {} 空き", "{1} of {0} free"),
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
        "画像の受信が動いていません。動きだすと、ここに件数が表示されます。",
        "Receiving images does not run. Its figures are here as soon as it does.",
    ),
    "silent": Text("応答がありません", "No answer"),
    "silent_since": Text("最後の応答", "last heard"),
    "silent_what": Text(
        "netty box がいまどのような状態か、この画面からは分かりません",
        "How the netty box is now cannot be told from here",
    ),
    "silent_who": Text(
        "この医院の方：netty box の電源と、ネットワークの線を確認してください。"
        "応答が戻ると、この画面も自動的に元に戻ります。",
        "Anyone at the clinic: see that the netty box has power, and that the network cables are "
        "in. This page goes on by itself as soon as the box answers.",
    ),
    "waiting": Text("設定のしかた", "How to set it up"),
    "nothing": Text("ページがありません", "There is no such page"),
    "back": Text("状態のページへ", "To the state of the box"),
}

TECHNICIAN: Final[Mapping[str, Text]] = {
    "technician": Text("技術者用", "Technician"),
    "skip": Text("本文へ", "To the content"),
    "nav": Text("ページ", "Pages"),
    "nav_front": Text("状態", "State"),
    "nav_studies": Text("検査", "Studies"),
    "nav_search": Text("検索と取得", "Search and fetch"),
    "nav_watch": Text("対象患者", "Watch list"),
    "nav_events": Text("記録", "Events"),
    "nav_service": Text("点検", "Service"),
    "nav_settings": Text("設定", "Settings"),
    "login": Text("ログイン", "Log in"),
    "logout": Text("ログアウト", "Log out"),
    "password": Text("パスワード", "Password"),
    "login_why": Text(
        "画像、対象患者、点検のページは、販売店の技術者だけが使えます。",
        "Pictures, watch list and service are for the vendor's technician.",
    ),
    "wrong": Text("パスワードが違います。", "That is not the password."),
    "wait": Text(
        "間違いが続いたため、{} 後にもう一度お試しください。",
        "Too many wrong ones: try again in {}.",
    ),
    "busy": Text("混み合っています。もう一度お試しください。", "Busy just now: try again."),
    "no_password": Text(
        "設定にパスワードがないため、ログインできません。パソコンで appliance password を実行し、"
        "netty.toml の [panel] password に書いてください。",
        "The settings have no password, so nobody can log in. Run appliance password on a PC, and "
        "write what it prints into netty.toml, [panel] password.",
    ),
    "expired": Text(
        "時間が経ったため、ログアウトしました。もう一度ログインしてください。",
        "You were logged out after a while. Log in again.",
    ),
    "fingerprint": Text("証明書の指紋 (SHA-256)", "Fingerprint of the certificate (SHA-256)"),
    "no_archive": Text(
        "画像の保存領域をまだ読めません。受信が始まると、ここに表示されます。",
        "The archive cannot be read yet. What it holds is here as soon as the box has begun.",
    ),
    "no_studies": Text("まだ検査がありません", "There are no studies yet"),
    "no_studies_how": Text(
        "対象患者の検査が見つかると、画像がここに並びます。",
        "Pictures are here as soon as studies of watched patients are found.",
    ),
    "study": Text("検査", "Study"),
    "anonymous": Text("仮名なし", "without a pseudonym"),
    "picture": Text("{} 枚", "{} picture"),
    "pictures": Text("{} 枚", "{} pictures"),
    "picture_of": Text("{1} 枚中 {0} 枚目", "{} of {}"),
    "incomplete": Text("残り {} 枚を受信待ち", "{} still to come"),
    "rendering": Text("{} 枚を画像作成中", "{} being rendered"),
    "failures": Text("{} 枚は画像にできません", "{} cannot be rendered"),
    "received": Text("受信 {}", "received {}"),
    "page": Text("ページ", "Page"),
    "turn_to": Text("表示", "Go"),
    "newer": Text("新しい検査へ", "Newer"),
    "older": Text("以前の検査へ", "Older"),
    "previous": Text("前へ", "Previous"),
    "next": Text("次へ", "Next"),
    "all_pictures": Text("すべての画像", "All pictures"),
    "strip": Text("前後の画像", "Pictures around it"),
    "instance": Text("画像番号 {}", "image number {}"),
    "frame": Text("フレーム {}", "frame {}"),
    "search": Text("検索", "Search"),
    "search_why": Text(
        "接続先に患者番号か受付番号で問い合わせ、見つかった検査を取り寄せます。",
        "Asks a remote system by patient number or accession number, and fetches what you choose.",
    ),
    "remote": Text("接続先", "Remote system"),
    "patient_id": Text("患者番号", "Patient number"),
    "accession": Text("受付番号", "Accession number"),
    "one_of": Text(
        "患者番号か受付番号を入力してください。", "Write a patient or accession number."
    ),
    "no_wildcards": Text(
        "64 文字まで、* ? \\ とタブは使えません。",
        "At most 64 characters, none of * ? \\, and no tab.",
    ),
    "no_such_remote": Text("その接続先はありません。", "There is no such remote system."),
    "no_remotes": Text(
        "設定に、問い合わせできる接続先がありません。",
        "The settings name no remote system that may be queried.",
    ),
    "asking": Text("{} に問い合わせています", "Asking {}"),
    "asking_how": Text(
        "数秒かかることがあります。このページは自動で更新されます。",
        "This may take some seconds. The page looks again by itself.",
    ),
    "search_failed": Text("検索できませんでした", "The search failed"),
    "found_one": Text("{} 件見つかりました", "{} study found"),
    "found": Text("{} 件見つかりました", "{} studies found"),
    "found_none": Text("該当する検査はありません", "No such study"),
    "surplus": Text("ほかに {} 件あります。番号を絞ってください。", "{} more: ask for less."),
    "erased": Text(
        "検索の結果は 15 分で消去されます。もう一度検索してください。",
        "What a search found is erased after 15 minutes. Search again.",
    ),
    "date": Text("日付", "Date"),
    "time": Text("時刻", "Time"),
    "fetch": Text("取得", "Fetch"),
    "fetch_all": Text("すべて取得", "Fetch all"),
    "fetches": Text("手動の取得", "Fetched by hand"),
    "no_fetches": Text("手動の取得はまだありません", "Nothing was fetched by hand yet"),
    "asked_at": Text("依頼", "Asked"),
    "state": Text("状態", "State"),
    "result": Text("結果", "Result"),
    "asked": Text("待機中", "waiting"),
    "running": Text("取得中", "running"),
    "complete": Text("完了", "complete"),
    "partial": Text("一部のみ", "partial"),
    "failed_fetch": Text("失敗", "failed"),
    "ae_down": Text(
        "画像の受信が動いていないため、依頼できません。",
        "Receiving images does not run, so nothing can be asked of it.",
    ),
    "pseudonym": Text("仮名", "Pseudonym"),
    "since_day": Text("開始日", "From day"),
    "watch_why": Text(
        "この一覧は USB メモリの設定 (netty.toml, patients.csv) で変更します。",
        "This list is changed by the settings on a USB stick (netty.toml, patients.csv).",
    ),
    "no_watch": Text("対象患者の登録はありません", "The settings name no patients"),
    "entry": Text("{} 名", "{} entry"),
    "entries": Text("{} 名", "{} entries"),
    "by_box": Text("自動", "by the box"),
    "everywhere": Text("すべて", "all"),
    "events_why": Text(
        "本機が記録した最近の出来事です。", "What the box noted lately, the last first."
    ),
    "no_events": Text("記録はまだありません", "Nothing has been noted yet"),
    "info": Text("情報", "info"),
    "warning": Text("注意", "warning"),
    "error": Text("異常", "error"),
    "suspension": Text("一時停止", "Suspension"),
    "suspension_why": Text(
        "一時停止すると、画像の受信と問い合わせを止めます。再起動後も止まったままです。",
        "A suspended box takes no images and asks nobody, also after a restart.",
    ),
    "suspend": Text("一時停止する", "Suspend"),
    "resume": Text("再開する", "Resume"),
    "is_suspended": Text("一時停止中です", "The box is suspended"),
    "is_running": Text("動作しています", "The box works"),
    "test": Text("接続の点検", "Connection test"),
    "test_why": Text(
        "名前、ポート、接続、問い合わせ、画像 1 枚の受信まで、順に試します。",
        "Tries each step in turn: name, port, association, query, until one image has arrived.",
    ),
    "test_begin": Text("点検する", "Test"),
    "test_running": Text("点検中", "being tested"),
    "test_works": Text("すべて正常", "all is well"),
    "test_fails": Text("問題があります", "something fails"),
    "hop_name": Text("名前の解決", "Name"),
    "hop_port": Text("ポートへの接続", "Port"),
    "hop_association": Text("アソシエーション", "Association"),
    "hop_echo": Text("C-ECHO（疎通）", "C-ECHO (verification)"),
    "hop_find": Text("C-FIND（問い合わせ）", "C-FIND (query)"),
    "hop_move": Text("C-MOVE（画像の受信）", "C-MOVE (an image is sent to us)"),
    "hop_get": Text("C-GET（画像の取得）", "C-GET (an image comes on our association)"),
    "hop_passed": Text("正常", "passed"),
    "hop_failed": Text("失敗", "failed"),
    "hop_skipped": Text("未実施", "not tried"),
    "letter": Text("PACS の管理者に伝えること", "What to tell the administrator of the PACS"),
    "update": Text("ソフトウェアの更新", "Software update"),
    "update_why": Text(
        "販売店が署名した更新だけを受け付けます。うまく動かなければ、自動で今の版に戻ります。",
        "Only what the vendor has signed is taken. If it does not work, this version returns by "
        "itself.",
    ),
    "update_ask": Text("更新する…", "Update…"),
    "update_runs": Text("いまのバージョン：{}", "Version {} runs."),
    "update_address": Text("更新ファイルのアドレス", "Address of the update"),
    "update_while_receiving": Text("画像を受信中でも更新する", "Even while images arrive"),
    "update_begin": Text("更新する", "Update"),
    "update_no_address": Text(
        "https:// で始まるアドレスを入力してください。",
        "Give an address that begins with https://.",
    ),
    "update_file": Text("更新ファイル（.raucb）", "Update file (.raucb)"),
    "update_send": Text("送信して更新する", "Send it and update"),
    "update_from_file": Text("ファイルから更新する", "From a file"),
    "update_from_address": Text("アドレスから更新する", "From an address"),
    "update_no_bundle": Text(
        "更新ファイルではありません。販売店から受け取ったファイル（名前が .raucb で終わるもの）を"
        "選んでください。",
        "That is no update. Choose the file that the vendor gave you; its name ends in .raucb.",
    ),
    "update_too_large": Text(
        "更新ファイルにしては大きすぎます。販売店から受け取ったファイルを選んでください。",
        "That is too large for an update. Choose the file that the vendor gave you.",
    ),
    "update_no_room": Text(
        "ディスクの空きが足りません。更新ファイルのアドレスを入力するか、USB メモリを"
        "使ってください。",
        "The disk has no room for it. Give the update's address instead, or bring it on a USB "
        "stick.",
    ),
    "update_not_kept": Text(
        "ディスクに書き込めません。更新ファイルのアドレスを入力するか、USB メモリを"
        "使ってください。",
        "It cannot be written to the disk. Give the update's address instead, or bring it on a USB "
        "stick.",
    ),
    "update_busy": Text(
        "別のファイルを受信しています。終わってから、もう一度送ってください。",
        "Another file is being sent. Try again when that has ended.",
    ),
    "update_under_way": Text("更新しています", "The update is under way"),
    "update_then": Text(
        "書き込みが終わると再起動し、新しい版を試します。電源を切らないでください。",
        "When it is written, the box restarts and tries it. Leave it switched on.",
    ),
    "update_last": Text("前回の結果", "What came of the last one"),
    "look_again": Text("もう一度見る", "Look again"),
    "bundle": Text("サポート用の記録", "Support bundle"),
    "bundle_why": Text(
        "販売店に送る記録です。患者の情報、パスワード、鍵は入りません。",
        "What the vendor needs to help. It holds nothing of patients, and no secrets.",
    ),
    "bundle_make": Text("保存する", "Save it"),
    "settings_why": Text(
        "いま有効な設定です。パスワードと鍵は表示しません。変更は USB メモリで行います。",
        "The settings that hold now. Secrets are not shown. A USB stick changes them.",
    ),
    "no_settings": Text("設定はまだありません", "There are no settings yet"),
    "hidden": Text("設定あり（非表示）", "given, not shown"),
    "absent": Text("なし", "absent"),
    "own_value": Text("既定と異なる", "differs from the default"),
    "key": Text("項目", "Key"),
    "value": Text("値", "Value"),
    "address_port": Text("アドレス", "Address"),
    "not_asked": Text("問い合わせなし", "not queried"),
    "refused": Text("受け付けられません", "That is refused"),
    "refused_why": Text(
        "ページを開き直して、もう一度お試しください。", "Open the page anew, and try again."
    ),
    "broken": Text("ページを表示できません", "The page cannot be shown"),
    "sorry": Text("本機の不具合です。もう一度お試しください。", "A fault of this box. Try again."),
}
"""Of the pages behind the login."""


def phrase(name: str, language: Language) -> str:
    """A word of the page, by its name. Raises KeyError."""
    text = WORDS.get(name) or TECHNICIAN[name]
    return text.ja if language == "ja" else text.en


def counted(say: Callable[[str], str], count: int, one: str, several: str) -> str:
    """So many of what `say` calls by the name `one` if it is one, and by `several` otherwise."""
    return say(one if count == 1 else several).format(f"{count:,}")


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
