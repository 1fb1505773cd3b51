"""What the page is told of the settings holds no secret."""

from dataclasses import fields, is_dataclass

from appliance.settings.model import Fleet, Panel, Settings, Update
from appliance.settings.shown import Applied, shown

SECRET = "TOPSECRET123"


def applied(settings: Settings, table: str, key: str) -> Applied:
    (one,) = [one for one in shown(settings).applied if (one.table, one.key) == (table, key)]
    return one


def test_of_an_address_what_stands_behind_its_question_mark_is_hidden() -> None:
    address = "https://updates.example/netty.raucb"
    settings = Settings(1, update=Update(url=f"{address}?sv=2024&sig={SECRET}"))
    assert SECRET not in repr(shown(settings))
    assert applied(settings, "update", "url").value == f'"{address}?…"'
    plain = Settings(1, update=Update(url=address))
    assert applied(plain, "update", "url").value == f'"{address}"'


def test_the_token_of_a_fleet_is_hidden() -> None:
    settings = Settings(1, fleet=Fleet("https://hawkbit.example", SECRET))
    token = applied(settings, "fleet", "token")
    assert (token.secret, token.value) == (True, "")
    assert SECRET not in repr(shown(settings))


def test_each_setting_that_is_kept_out_of_tracebacks_is_hidden() -> None:
    """A secret is marked where it is defined, so that none is forgotten."""
    for of in (Fleet, Panel):
        assert is_dataclass(of)
    secrets = {
        (table.name, each.name)
        for table in fields(Settings)
        for kind in (Fleet, Panel)
        if table.name == kind.__name__.lower()
        for each in fields(kind)
        if not each.repr
    }
    assert ("fleet", "token") in secrets
    settings = Settings(
        1,
        fleet=Fleet("https://hawkbit.example", SECRET),
        panel=Panel(password=SECRET, token=SECRET, certificate=SECRET, key=SECRET),
    )
    hidden = {(one.table, one.key) for one in shown(settings).applied if one.secret}
    assert secrets <= hidden
