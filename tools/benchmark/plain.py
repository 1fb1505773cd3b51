"""The box's receive path alone: listener, negotiation and inline C-STORE, and a file that is
written as it came. No sync, no de-identification, no catalogue: what `storescp +B` does.

    python -m tools.benchmark.plain PORT PDU FOLDER
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.dicom.file_meta import file_meta
from appliance.dicom.inline import StoreRequest
from appliance.dicom.remotes import Caller, Remotes
from appliance.dicom.scp import Admission, Listener, supported_contexts
from appliance.dicom.sop_classes import UNCOMPRESSED
from appliance.dicom.statuses import SUCCESS, StoreStatus
from appliance.settings.model import LocalAE, RemoteAE
from tools.benchmark.bench import CALLING

_PARTS_AT_ONCE = 512


class PlainReception:
    """One instance, written under a temporary name while it arrives."""

    def __init__(self, folder: Path, request: StoreRequest) -> None:
        self._final = folder / f"{request.sop_instance}.dcm"
        self._temporary = self._final.with_suffix(".part")
        self._file = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
        meta = file_meta(request.sop_class, request.sop_instance, request.transfer_syntax)
        os.write(self._file, meta)

    def feed(self, views: Sequence[memoryview]) -> None:
        """Write the next bytes."""
        for start in range(0, len(views), _PARTS_AT_ONCE):
            part = views[start : start + _PARTS_AT_ONCE]
            if os.writev(self._file, part) != sum(map(len, part)):
                raise OSError("the disk is full")

    def finish(self) -> StoreStatus:
        """Give the file its name."""
        os.close(self._file)
        os.rename(self._temporary, self._final)
        return StoreStatus(SUCCESS)

    def abandon(self) -> None:
        """Remove what came."""
        os.close(self._file)
        self._temporary.unlink()


@dataclass(frozen=True, slots=True)
class PlainStorage:
    """Writes what comes into one folder, whoever calls."""

    folder: Path

    def for_caller(self, caller: Caller) -> "PlainStorage":
        """The same for everybody."""
        return self

    def begin(self, request: StoreRequest) -> PlainReception:
        """Start receiving one instance."""
        return PlainReception(self.folder, request)


def main() -> None:
    """Listen until ended by a signal."""
    port, pdu, folder = sys.argv[1:]
    ae = LocalAE(port=int(port), address="127.0.0.1", max_pdu=int(pdu))
    remotes = Remotes(ae.title, (RemoteAE(name="sender", title=CALLING, host="127.0.0.1"),))
    admission = Admission(ae, remotes, lambda: False, lambda subject, text: None)
    contexts = supported_contexts(ae, UNCOMPRESSED)
    storage = PlainStorage(Path(folder))
    Listener(ae, admission, storage, remotes, contexts, ae.port).serve_forever()


if __name__ == "__main__":
    main()
