"""Boxes born from an interpreter that has loaded everything already.

    python -m tests.fault.nursery

A line of JSON comes in for each box: the arguments of `appliance`, the environment to add, and the
file for what it says. The process id goes out. Half a second of imports less for each of them: what
runs is the same `appliance run`, in a process of its own that can be killed.
"""

import json
import os
import signal
import sys
from typing import Any

from appliance.cli import main


def born(order: dict[str, Any]) -> int:
    """Fork a box; its process id."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        os.environ.update(order["environment"])
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for descriptor in (1, 2):
            os.dup2(log, descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        code = main(order["arguments"])
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def nurse() -> None:
    """Bear a box for each line that comes."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries them
    for line in sys.stdin:
        print(born(json.loads(line)), flush=True)


if __name__ == "__main__":
    nurse()
