"""CMS enveloped data (RFC 5652), by the libcrypto that Python's ssl stands on.

Called through ctypes: a process of `openssl cms` for each image takes longer than all else that
is done to it, and every other library for it brings a second libcrypto or a Rust toolchain.
Content is encrypted with AES-256 in CBC mode, its key with the RSA key of each recipient (PKCS #1
version 1.5), which is what PS3.15 Section E.1.1 asks for.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any, Final

from appliance.settings.problems import Obstacle

_LIBRARY: Final = "libcrypto.so.3"
_BINARY: Final = 0x80
_RSA: Final = 6
_INFO: Final = 3  # BIO_CTRL_INFO
_LONGEST_REASON: Final = 256

Pointer = Any
"""Of a structure that only the library looks into."""


class EnvelopeFailed(Obstacle, ValueError):
    """A certificate, a key or an envelope that cannot be used; the text says why."""


class Recipients:
    """The certificates of those who can open what is sealed. May be used by several threads."""

    def __init__(self, certificates: Sequence[str]) -> None:
        """Read certificates in PEM; a text may hold several.

        Raises EnvelopeFailed if one cannot be read, or has no RSA key.
        """
        self._library = _library()
        self._stack = self._library.OPENSSL_sk_new_null()
        self._count = 0
        for text in certificates:
            self._read(text.encode("utf-8"))
        if not self._count:
            raise EnvelopeFailed("there is no certificate in the text")

    def _read(self, pem: bytes) -> None:
        library = self._library
        with _buffer(pem) as source:
            while certificate := library.PEM_read_bio_X509(source, None, None, None):
                key = library.X509_get0_pubkey(certificate)
                if not key or library.EVP_PKEY_get_base_id(key) != _RSA:
                    raise EnvelopeFailed("the key of the certificate is not an RSA key")
                library.OPENSSL_sk_push(self._stack, certificate)
                self._count += 1
        library.ERR_clear_error()

    def seal(self, content: bytes) -> bytes:
        """The content in an envelope that each recipient can open, in DER."""
        library = self._library
        with ExitStack() as freed, _buffer(content) as source:
            cipher = library.EVP_aes_256_cbc()
            envelope = library.CMS_encrypt(self._stack, source, cipher, _BINARY)
            if not envelope:
                raise EnvelopeFailed(f"the attributes cannot be encrypted: {_reason()}")
            freed.callback(library.CMS_ContentInfo_free, envelope)
            target = _empty(freed)
            if not library.i2d_CMS_bio(target, envelope):
                raise EnvelopeFailed(f"the envelope cannot be written: {_reason()}")
            return _content(target)


def unseal(envelope: bytes, key: bytes) -> bytes:
    """The content of an envelope in DER.

    `key` is the private key in PEM, without a password. Raises EnvelopeFailed.
    """
    library = _library()
    with ExitStack() as freed:
        secret = library.PEM_read_bio_PrivateKey(
            freed.enter_context(_buffer(key)), None, _NO_PASSWORD, None
        )
        if not secret:
            raise EnvelopeFailed("the key is not a private key in PEM without a password")
        freed.callback(library.EVP_PKEY_free, secret)
        sealed = library.d2i_CMS_bio(freed.enter_context(_buffer(envelope)), None)
        if not sealed:
            raise EnvelopeFailed("the encrypted content is not CMS enveloped data")
        freed.callback(library.CMS_ContentInfo_free, sealed)
        target = _empty(freed)
        # Without the certificate each recipient's part is tried; a wrong key then gives noise.
        if not library.CMS_decrypt(sealed, secret, None, None, target, 0):
            raise EnvelopeFailed(f"the key does not open the encrypted content: {_reason()}")
        return _content(target)


_Password = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_void_p
)
_NO_PASSWORD: Final = _Password(lambda *_: 0)
"""Without it the library would ask on the terminal."""


@cache
def _library() -> Any:
    """libcrypto with the types of what is called in it. OSError if it is not there."""
    library = ctypes.CDLL(_LIBRARY)
    pointer, number = ctypes.c_void_p, ctypes.c_int
    signatures: dict[str, tuple[Any, ...]] = {
        "OPENSSL_sk_new_null": (pointer,),
        "OPENSSL_sk_push": (number, pointer, pointer),
        "BIO_new": (pointer, pointer),
        "BIO_s_mem": (pointer,),
        "BIO_new_mem_buf": (pointer, ctypes.c_char_p, number),
        "BIO_free": (number, pointer),
        "BIO_ctrl": (ctypes.c_long, pointer, number, ctypes.c_long, pointer),
        "PEM_read_bio_X509": (pointer, pointer, pointer, pointer, pointer),
        "PEM_read_bio_PrivateKey": (pointer, pointer, pointer, _Password, pointer),
        "X509_get0_pubkey": (pointer, pointer),
        "EVP_PKEY_get_base_id": (number, pointer),
        "EVP_PKEY_free": (None, pointer),
        "EVP_aes_256_cbc": (pointer,),
        "CMS_encrypt": (pointer, pointer, pointer, pointer, ctypes.c_uint),
        "CMS_decrypt": (number, pointer, pointer, pointer, pointer, pointer, ctypes.c_uint),
        "CMS_ContentInfo_free": (None, pointer),
        "i2d_CMS_bio": (number, pointer, pointer),
        "d2i_CMS_bio": (pointer, pointer, pointer),
        "ERR_get_error": (ctypes.c_ulong,),
        "ERR_clear_error": (None,),
        "ERR_error_string_n": (None, ctypes.c_ulong, ctypes.c_char_p, ctypes.c_size_t),
    }
    for name, (result, *arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


@contextmanager
def _buffer(data: bytes) -> Iterator[Pointer]:
    """A source from which the library reads the bytes."""
    source = _library().BIO_new_mem_buf(data, len(data))
    try:
        yield source
    finally:
        _library().BIO_free(source)


def _empty(freed: ExitStack) -> Pointer:
    """A target into which the library writes."""
    target = _library().BIO_new(_library().BIO_s_mem())
    freed.callback(_library().BIO_free, target)
    return target


def _content(target: Pointer) -> bytes:
    start = ctypes.c_void_p()
    length = _library().BIO_ctrl(target, _INFO, 0, ctypes.byref(start))
    return ctypes.string_at(start, length)


def _reason() -> str:
    text = ctypes.create_string_buffer(_LONGEST_REASON)
    _library().ERR_error_string_n(_library().ERR_get_error(), text, _LONGEST_REASON)
    _library().ERR_clear_error()
    return text.value.decode("ascii", "replace")
