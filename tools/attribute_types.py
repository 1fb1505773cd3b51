#!/usr/bin/env python3
"""Write appliance/images/deidentify/data/ps3.3_attribute_types.csv and ps3.4_iods.csv.

An action such as X/Z/D of PS3.15 Table E.1-1 depends on the attribute's type in the IOD. The
types are those of PS3.3 as highdicom (MIT) carries them; run this with the interpreter of an
environment in which highdicom is installed, after the table or highdicom has changed.
"""

import csv
import json
from collections import defaultdict
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydicom.datadict import tag_for_keyword

DATA = Path(__file__).parent.parent / "appliance/images/deidentify/data"


def standard(name: str) -> Any:
    """One of highdicom's renderings of PS3.3 and PS3.4."""
    return json.loads((files("highdicom") / "_standard" / name).read_text("utf-8"))


def label(tag: int) -> str:
    """A tag as the table writes it, (gggg,eeee)."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def main() -> None:
    """Write both files."""
    with (DATA / "ps3.15_table_e.1-1.csv").open(newline="") as table:
        names = {r["tag"]: r["name"] for r in csv.DictReader(table) if "/" in r["basic_profile"]}
    iods = defaultdict(set)
    for iod, modules in standard("iod_module_map.json").items():
        for module in modules:
            iods[module["key"]].add(iod)
    root: dict[tuple[str, str], str] = {}
    nested: dict[tuple[str, str], str] = {}
    for module, attributes in standard("module_attribute_map.json").items():
        for attribute in attributes:
            tag = tag_for_keyword(attribute["keyword"])
            if tag is None or label(tag) not in names or attribute["type"] == "None":
                continue
            kind = attribute["type"][0]
            if attribute["path"]:
                parent = tag_for_keyword(attribute["path"][-1])
                if parent is not None:
                    key = (label(tag), label(parent))
                    nested[key] = min(kind, nested.get(key, "3"))
            else:
                for iod in iods[module]:
                    root[label(tag), iod] = min(kind, root.get((label(tag), iod), "3"))
    write_types(names, root, nested)
    with (DATA / "ps3.4_iods.csv").open("w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("sop_class", "iod"))
        writer.writerows(sorted(standard("sop_class_iod_map.json").items()))


def write_types(
    names: dict[str, str], root: dict[tuple[str, str], str], nested: dict[tuple[str, str], str]
) -> None:
    """One row per attribute, parent sequence and type; the strictest type wins."""
    where = defaultdict(set)
    for (tag, iod), kind in root.items():
        if kind != "3":
            where[tag, kind].add(iod)
    rows = [(tag, names[tag], "", kind, " ".join(sorted(w))) for (tag, kind), w in where.items()]
    rows += [(tag, names[tag], parent, kind, "") for (tag, parent), kind in nested.items()]
    with (DATA / "ps3.3_attribute_types.csv").open("w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("tag", "name", "parent", "type", "iods"))
        writer.writerows(sorted(rows))


if __name__ == "__main__":
    main()
