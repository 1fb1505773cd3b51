"""What the connection self-test says, in Japanese and English."""

from appliance.archive.hops import Said, Step
from appliance.dicom.scu import Failure
from appliance.dicom.statuses import MOVE_DESTINATION_UNKNOWN
from appliance.settings.model import LocalAE, RemoteAE


def letter(ae: LocalAE, remote: RemoteAE, own_address: str) -> Said:
    """What the administrator of the PACS is to enter; `own_address` is empty if not known."""
    address_ja = own_address or "（本機のアドレス）"
    address_en = own_address or "(this box's address)"
    return Said(
        f"{remote.name}（{remote.title}、{remote.host}:{remote.port}）のご担当者様："
        f"AE タイトル {ae.title}、アドレス {address_ja}、ポート {ae.port} を DICOM 通信先として"
        f"登録し、{ae.title} からの C-ECHO、C-FIND、C-MOVE（Study Root）を許可し、C-MOVE の送信先"
        f"にも同じ内容を登録してください。ファイアウォールでは {address_ja} から {remote.host}:"
        f"{remote.port} へ、および {remote.host} から {address_ja}:{ae.port} への TCP 接続を"
        "許可してください。",
        f"To the administrator of {remote.name} ({remote.title}, {remote.host}:{remote.port}): "
        f"please register the AE title {ae.title} with the address {address_en} and the port "
        f"{ae.port}; allow it C-ECHO, C-FIND and C-MOVE (Study Root); and register the same as a "
        f"destination for C-MOVE. A firewall must let TCP through from {address_en} to "
        f"{remote.host}:{remote.port}, and from {remote.host} to {address_en}:{ae.port}.",
    )


def unknown_remote(name: str) -> Said:
    """There is no such remote."""
    return Said(
        f"動作中の設定に {name} がありません。技術担当者：設定を確認してください。",
        f"{name} is not in the settings with which the box runs. The technician: see to them.",
    )


def name(remote: RemoteAE, address: str) -> Said:
    """The name resolves."""
    return Said(f"{remote.host} は {address} です。", f"{remote.host} is {address}.")


def no_name(remote: RemoteAE) -> Said:
    """It does not."""
    return Said(
        f"ホスト名 {remote.host} がこのネットワークで見つかりません。技術担当者：設定のホスト名と "
        "DNS を確認するか、IP アドレスを設定してください。",
        f"The host name {remote.host} is not known in this network. The technician: check the "
        "name and the DNS servers in the settings, or write its IP address.",
    )


def port(remote: RemoteAE, own_address: str) -> Said:
    """The port opens."""
    return Said(
        f"ポート {remote.port} に接続できました（本機のアドレス {own_address}）。",
        f"Port {remote.port} is open, seen from {own_address}, which is this box's address there.",
    )


def no_port(remote: RemoteAE, refused: bool) -> Said:
    """It does not."""
    where = f"{remote.host}:{remote.port}"
    if refused:
        return Said(
            f"{where} は接続を拒否しました。PACS 担当者：DICOM サービスが動作しているか、ポー"
            "ト番号が正しいか確認してください。",
            f"{where} refuses the connection. The PACS administrator: see that its DICOM service "
            "runs, and that this is its port.",
        )
    return Said(
        f"{where} から応答がありません。ネットワーク担当者：電源、配線、アドレス、ファイアウ"
        "ォールを確認してください。",
        f"Nothing answers at {where}. Whoever runs the network: see that the machine is on, that "
        "the address is right, and that no firewall is between.",
    )


def association(remote: RemoteAE) -> Said:
    """An association is accepted."""
    return Said(
        f"{remote.title} はアソシエーションを受け付けました。",
        f"{remote.title} accepts our association.",
    )


def no_association(remote: RemoteAE, title: str, kind: Failure) -> Said:
    """It is not."""
    if kind == "rejected":
        return Said(
            f"{remote.title} がアソシエーションを拒否しました。PACS 担当者：AE タイトル {title} を"
            f"登録し、相手側の AE タイトルが {remote.title} であることを確認してください。",
            f"{remote.title} rejects our association. The PACS administrator: register our AE "
            f"title {title}, and see that the PACS calls itself {remote.title}.",
        )
    tls_ja = "TLS の設定と証明書も確認してください。" if remote.tls else ""
    tls_en = " See to TLS and the certificates, too." if remote.tls else ""
    return Said(
        f"{remote.host}:{remote.port} は DICOM として応答しません。PACS 担当者：このポートが DICOM "
        f"用か、TLS の有無が一致するか確認してください。{tls_ja}",
        f"{remote.host}:{remote.port} does not answer as a DICOM AE. The PACS administrator: see "
        f"that this is its DICOM port, and whether it expects TLS.{tls_en}",
    )


def echo(remote: RemoteAE) -> Said:
    """C-ECHO is answered."""
    return Said(f"{remote.title} は C-ECHO に応答しました。", f"{remote.title} answers a C-ECHO.")


def no_echo(remote: RemoteAE) -> Said:
    """It is not."""
    return Said(
        f"{remote.title} は C-ECHO に応答しません。PACS 担当者：Verification を許可してください。",
        f"{remote.title} does not answer a C-ECHO. The PACS administrator: allow Verification.",
    )


def may_not_query(remote: RemoteAE) -> Said:
    """The settings forbid to ask."""
    return Said(
        f"設定（query = false）により、{remote.name} には問い合わせません。受信だけを行います。",
        f"By the settings (query = false), {remote.name} is not asked; it may only send to us.",
    )


def found(remote: RemoteAE) -> Said:
    """C-FIND finds something."""
    return Said(
        f"{remote.title} に登録患者の検査が見つかりました。",
        f"{remote.title} answers C-FIND, and has a study of a watched patient.",
    )


def found_nothing(remote: RemoteAE, watched: bool) -> Said:
    """It answers, with nothing."""
    if not watched:
        return Said(
            f"{remote.title} は C-FIND に応答しました。患者リストは空です。",
            f"{remote.title} answers C-FIND. The watch list has nobody to ask it for.",
        )
    return Said(
        f"{remote.title} は C-FIND に応答しましたが、確認した登録患者の検査はありません。",
        f"{remote.title} answers C-FIND, and has nothing of the watched patients asked for.",
    )


def no_find(remote: RemoteAE, title: str, kind: Failure) -> Said:
    """C-FIND fails."""
    if kind == "unsupported":
        return Said(
            f"{remote.title} は {title} に検索（C-FIND、Study Root）を許可していません。PACS "
            "担当者：許可してください。",
            f"{remote.title} does not offer queries (C-FIND, Study Root) to {title}. The PACS "
            "administrator: allow them.",
        )
    return Said(
        f"{remote.title} への C-FIND が失敗しました。PACS 担当者：{title} からの検索（検査、"
        "シリーズ、画像の各レベル）を許可し、PACS のログを確認してください。",
        f"C-FIND fails at {remote.title}. The PACS administrator: allow {title} to query at study, "
        "series and image level, and see the log of the PACS.",
    )


def lists_nothing(remote: RemoteAE) -> Said:
    """A study without images."""
    return Said(
        f"{remote.title} は検査を返しますが、その画像の一覧を返しません。PACS 担当者：シリーズ"
        "と画像のレベルの検索を許可してください。",
        f"{remote.title} has a study but lists no images of it. The PACS administrator: allow "
        "queries at series and image level.",
    )


def nothing_to_fetch(remote: RemoteAE) -> Said:
    """There is no sample."""
    return Said(
        f"{remote.name} に登録患者の画像がないため、取得は試していません。登録患者の画像が入"
        "ってから再度お試しください。",
        f"Not tried: {remote.name} has no image of a watched patient to fetch. Try again when it "
        "has one.",
    )


def suspended() -> Said:
    """The box takes nothing, as somebody wished."""
    return Said(
        "一時停止中のため、取得は試していません。一時停止を解除してください。",
        "Not tried: the box is suspended. End the suspension, then try again.",
    )


def full() -> Said:
    """The box takes nothing, as it cannot."""
    return Said(
        "保存領域が不足しているため、取得は試していません。",
        "Not tried: there is no room above the reserve.",
    )


def received(remote: RemoteAE, step: Step) -> Said:
    """The instance has come."""
    service = "C-MOVE" if step == "move" else "C-GET"
    return Said(
        f"{service} で {remote.title} から画像 1 枚を受信し、保存しました。",
        f"One image came from {remote.title} by {service}, and is kept.",
    )


def refused_by_us(remote: RemoteAE) -> Said:
    """It came, and we did not take it."""
    return Said(
        f"{remote.title} は画像を送信しましたが、本機が受け付けませんでした。下の説明を確認して"
        "ください。",
        f"{remote.title} sent the image, but this box did not take it; see below why.",
    )


def not_received(
    remote: RemoteAE, ae: LocalAE, step: Step, status: int | None, *, rejected: bool
) -> Said:
    """It has not come; `rejected` tells that this box turned an association away meanwhile."""
    if rejected:
        return Said(
            "本機がアソシエーションを拒否しました（イベント参照）。技術担当者：相手の AE タイトルと"
            "アドレスを、設定の calls_as と calls_from に追加してください。",
            "This box rejected an association meanwhile (the events tell whose). The technician: "
            "name its title and address in calls_as and calls_from in the settings.",
        )
    if step == "get":
        return Said(
            f"{remote.title} からの C-GET で画像を受信できません。PACS 担当者：{ae.title} に C-GET"
            "（Study Root）を許可し、PACS のログを確認してください。",
            f"No image comes from {remote.title} by C-GET. The PACS administrator: allow C-GET "
            f"(Study Root) to {ae.title}, and see the log of the PACS.",
        )
    if status == MOVE_DESTINATION_UNKNOWN:
        return Said(
            f"{remote.title} に、C-MOVE の送信先として {ae.title} が登録されていません。PACS "
            "担当者：下の内容で登録してください。",
            f"{remote.title} does not know {ae.title} as a destination for C-MOVE. The PACS "
            "administrator: register it, as written below.",
        )
    return Said(
        f"{remote.title} は C-MOVE に応答しましたが、画像が届きません。PACS 担当者：{ae.title}"
        f" の登録内容（アドレス、ポート {ae.port}）が正しいか、ネットワーク担当者：{remote.host} か"
        f"ら本機のポート {ae.port} へ接続できるか確認してください。",
        f"{remote.title} takes the C-MOVE but no image arrives. The PACS administrator: see that "
        f"{ae.title} is registered with this box's present address and port {ae.port}; whoever "
        f"runs the network: that {remote.host} can reach that port.",
    )
