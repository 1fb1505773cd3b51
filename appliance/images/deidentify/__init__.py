"""De-identification: bytes of a dataset in, bytes without identity out, before the disk sees them.

`Deidentifier.header` is the way in; `clear.CLEARED` and `table` say what the profiles do.
"""

from appliance.images.deidentify.clear import CLEARED
from appliance.images.deidentify.codestream import Codestream
from appliance.images.deidentify.deidentifier import Deidentifier, Header, Identity, Profile
from appliance.images.deidentify.elements import Encoding, Malformed
from appliance.images.deidentify.encrypted import reidentified
from appliance.images.deidentify.envelope import EnvelopeFailed, Recipients
from appliance.images.deidentify.explain import as_html, as_text, explain
from appliance.images.deidentify.options import Options
from appliance.images.deidentify.part10 import deidentify_file, encoding_of
from appliance.images.deidentify.table import EDITION

__all__ = [
    "CLEARED",
    "EDITION",
    "Codestream",
    "Deidentifier",
    "Encoding",
    "EnvelopeFailed",
    "Header",
    "Identity",
    "Malformed",
    "Options",
    "Profile",
    "Recipients",
    "as_html",
    "as_text",
    "deidentify_file",
    "encoding_of",
    "explain",
    "reidentified",
]
