"""Encrypted Attributes: the way back for those who hold a key (PS3.15 Sections E.1.1, E.1.2).

What de-identification changes or removes stands in the dataset once more, in an envelope. An
element is taken whole: of a sequence in which one name was replaced, every item.
"""

from __future__ import annotations

from io import BytesIO
from typing import Final

from pydicom import Dataset, FileDataset, dcmread, dcmwrite
from pydicom.errors import InvalidDicomError
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from appliance.images.deidentify import actions as act
from appliance.images.deidentify.elements import (
    EXPLICIT_LITTLE,
    Broken,
    Codec,
    Incomplete,
    Malformed,
)
from appliance.images.deidentify.envelope import EnvelopeFailed, Recipients, unseal

ENCRYPTED: Final = 0x04000500
_SYNTAX: Final = 0x04000510
_CONTENT: Final = 0x04000520
_MODIFIED: Final = 0x04000550
_IMPLICIT: Final = "1.2.840.10008.1.2"
_EXPLICIT: Final = "1.2.840.10008.1.2.1"
_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
_FIRST_OF_DATASET: Final = 0x00080005


def with_encrypted(
    original: bytes, deidentified: bytes, codec: Codec, recipients: Recipients
) -> bytes:
    """A de-identified header, and in it the original of every element that is not the same.

    original: the elements before the pixels, as received
    deidentified: what was made of them
    """
    kept = {
        tag: deidentified[a:z] for tag, a, z in codec.extents(deidentified, 0, len(deidentified))
    }
    changed = b"".join(_changed(original, kept, codec))
    content, syntax = _explicit(codec.element(_MODIFIED, b"SQ", codec.item(changed)), codec)
    item = codec.element(_SYNTAX, b"UI", syntax.encode("ascii"))
    item += codec.element(_CONTENT, b"OB", recipients.seal(content))
    kept[ENCRYPTED] = codec.element(ENCRYPTED, b"SQ", codec.item(item))
    return b"".join(kept[tag] for tag in sorted(kept))


def _changed(original: bytes, kept: dict[int, bytes], codec: Codec) -> list[bytes]:
    changed: dict[int, bytes] = {}
    try:
        for tag, start, stop in codec.extents(original, 0, len(original)):
            whole = original[start:stop]
            if tag >= _FIRST_OF_DATASET and tag != ENCRYPTED and kept.get(tag) != whole:
                changed.setdefault(tag, whole)
    except (Broken, Incomplete):
        pass  # From there on nothing was understood, and nothing was kept.
    changed = {tag: whole for tag, whole in changed.items() if tag & 0xFFFF}
    return [changed[tag] for tag in sorted(changed)]


def _explicit(content: bytes, codec: Codec) -> tuple[bytes, str]:
    """A dataset in Explicit VR Little Endian, the only syntax in which GDCM undoes it.

    What cannot be turned into it without loss stays in its own.
    """
    if codec is EXPLICIT_LITTLE:
        return content, _EXPLICIT
    target = DicomBytesIO()
    target.is_little_endian, target.is_implicit_VR = True, False
    little = codec.encoding.little_endian
    try:
        write_dataset(target, read_dataset(BytesIO(content), codec.implicit, little))
    except (ValueError, KeyError, NotImplementedError, AttributeError, TypeError, EOFError):
        return content, _IMPLICIT if codec.implicit else _BIG_ENDIAN
    return target.getvalue(), _EXPLICIT


def reidentified(data: bytes, key: bytes) -> bytes:
    """A DICOM file with the attributes back that are encrypted in it.

    `key` is the private key of one of the recipients, in PEM. Raises Malformed if there is no
    such file or nothing encrypted in it, EnvelopeFailed if the key opens none of what is.
    """
    try:
        dataset = dcmread(BytesIO(data))
        _restore(dataset, _originals(dataset, key))
        target = BytesIO()
        dcmwrite(target, dataset, enforce_file_format=True)
    except InvalidDicomError:
        raise Malformed("this is not a DICOM file") from None
    return target.getvalue()


def _originals(dataset: FileDataset, key: bytes) -> Dataset:
    """The attributes of the first envelope that the key opens."""
    failed = EnvelopeFailed("no envelope was tried")
    items = dataset.get("EncryptedAttributesSequence") or []
    if not items:
        raise Malformed("nothing is encrypted in this file: it cannot be undone")
    for item in items:
        syntax = str(item.get("EncryptedContentTransferSyntaxUID", _EXPLICIT))
        try:
            content = unseal(item.get("EncryptedContent", b""), key)
            opened = read_dataset(BytesIO(content), syntax == _IMPLICIT, syntax != _BIG_ENDIAN)
            (originals,) = opened.ModifiedAttributesSequence
        except EnvelopeFailed as error:
            failed = error
            continue
        except (ValueError, AttributeError, EOFError, OSError):
            failed = EnvelopeFailed("the key does not open the encrypted content")
            continue
        assert isinstance(originals, Dataset)
        return originals
    raise failed


def _restore(dataset: FileDataset, originals: Dataset) -> None:
    for tag in (ENCRYPTED, act.METHOD, act.METHOD_CODES, act.LONGITUDINAL):
        dataset.pop(tag, None)
    dataset.PatientIdentityRemoved = "NO"
    for element in originals:
        dataset[element.tag] = element
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
