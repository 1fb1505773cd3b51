"""Which tags of files idiscore protects, as JSON: {file: [tags]}; for a Python that has it.

Run in an environment of its own: idiscore needs pydicom 2.
"""

import json
import sys
import warnings

from idiscore.core import Core, Profile
from idiscore.defaults import get_dicom_rule_sets
from pydicom import dcmread

warnings.simplefilter("ignore")


def protected(path: str) -> list[int]:
    """The tags whose values are taken away or replaced."""
    dataset = dcmread(path)
    before = {int(each.tag): each.value for each in dataset if each.value not in (None, "", b"")}
    after = Core(profile=Profile([get_dicom_rule_sets().basic_profile])).deidentify(dataset)
    after = getattr(after, "dataset", after)
    return [tag for tag, value in before.items() if tag not in after or after[tag].value != value]


print(json.dumps({path: protected(path) for path in sys.argv[1:]}))
