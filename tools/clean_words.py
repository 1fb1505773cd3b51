#!/usr/bin/env python3
"""Write appliance/images/deidentify/data/vocabulary.csv: words that a descriptor may keep.

They are the words of the concepts of PS3.16, as pydicom carries them, without the breeds of
animals, of which many are names of places and people, and without words that are never written
small: names. What imaging departments write and PS3.16 does not is in `spoken_words.csv` beside
it, by hand. Run this after pydicom has changed.
"""

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydicom.sr._concepts_dict import concepts

TARGET = Path(__file__).parent.parent / "appliance/images/deidentify/data/vocabulary.csv"
BREEDS = range(7480, 7488)
"""Context groups of breeds and of those who register them."""

_WORD = re.compile(r"[A-Za-z]{3,}")


def main() -> None:
    """Write the file."""
    phrases = [_WORD.findall(meaning) for meaning in meanings()]
    words = {word for phrase in phrases for word in phrase if word.islower()}
    words |= {phrase[0].lower() for phrase in phrases if len(phrase) == 1}
    with TARGET.open("w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("word",))
        writer.writerows((word,) for word in sorted(words))


def meanings() -> list[str]:
    """The meanings of all concepts that are no breed."""
    schemes: Mapping[str, Mapping[str, Any]] = concepts
    return [
        meaning
        for scheme in schemes.values()
        for codes in scheme.values()
        for meaning, groups in codes.values()
        if groups and not set(groups) & set(BREEDS)
    ]


if __name__ == "__main__":
    main()
