"""Passwords and tokens: what is written stands for one of them, and says nothing of it."""

import base64
import hashlib
import io
import re
import sys
import tomllib

import pytest

from appliance import cli
from appliance.settings.kinds import Mistake
from appliance.settings.passwords import (
    PasswordHash,
    TokenHash,
    hash_password,
    hash_token,
    is_password,
    is_token,
    new_token,
)


def test_a_password_is_known_again_and_hashed_anew_each_time() -> None:
    one, other = hash_password("日本語のパスワード"), hash_password("日本語のパスワード")
    assert one != other
    for hashed in (one, other):
        assert PasswordHash().read(hashed) == hashed
        assert is_password("日本語のパスワード", hashed)
        assert not is_password("日本語のパスワート", hashed)


def test_it_is_scrypt_as_others_have_it() -> None:
    _, n, r, p, salt, proof = hash_password("x" * 12).split("$")
    assert (n, r, p) == ("16384", "8", "5")
    expected = hashlib.scrypt(
        b"x" * 12,
        salt=base64.urlsafe_b64decode(salt + "=="),
        n=16384,
        r=8,
        p=5,
        maxmem=1 << 26,
        dklen=32,
    )
    assert base64.urlsafe_b64decode(proof + "=") == expected


def test_tokens() -> None:
    token = new_token()
    assert len(token) > 40
    assert new_token() != token
    assert TokenHash().read(hash_token(token)) == hash_token(token)
    assert is_token(token, hash_token(token))
    assert not is_token(token[:-1], hash_token(token))
    assert not is_token("", "")
    assert not is_token("é", hash_token(token))


GOOD = f"scrypt$16384$8$5${'a' * 22}${'b' * 43}"


@pytest.mark.parametrize(
    "written",
    [
        *("my secret password", 17, "", GOOD + "\n", GOOD.replace("scrypt", "bcrypt")),
        *(GOOD.replace("16384", "16383"), GOOD.replace("16384", "1048576")),
        *(GOOD.replace("$8$", "$0$"), GOOD.replace("$5$", "$99$")),
    ],
)
def test_what_is_no_hash_is_refused_and_not_repeated(written: object) -> None:
    for kind in (PasswordHash(), TokenHash()):
        with pytest.raises(Mistake) as caught:
            kind.read(written)
        assert "secret" not in f"{caught.value.found}{caught.value.remedy}"
        assert "never the" in caught.value.remedy


def test_the_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("correct horse battery\n"))
    assert cli.main(["password"]) == 0
    assert is_password("correct horse battery", tomllib.loads(capsys.readouterr().out)["password"])
    monkeypatch.setattr(sys, "stdin", io.StringIO("short\n"))
    assert cli.main(["password"]) == 1
    assert "10 characters" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", io.StringIO("correct\x1bhorse battery\n"))
    assert cli.main(["password"]) == 1
    assert "the login takes no other" in capsys.readouterr().err
    assert cli.main(["token"]) == 0
    out = capsys.readouterr().out
    token = re.search(r": (\S+)$", out, re.MULTILINE)
    assert token
    assert is_token(token[1], tomllib.loads(out)["token"])
