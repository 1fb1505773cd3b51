"""Makes the test image: a disk that boots the box, from Debian packages. See `--help`."""

import argparse
import sys
import time
from pathlib import Path

from tools.imaging.architecture import ARCHITECTURES
from tools.imaging.build import build
from tools.imaging.cache import cache_from_environment
from tools.imaging.programs import ImageFailed
from tools.imaging.weights import table, weights

REPOSITORY = Path(__file__).parents[2]


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="tools/image", description=__doc__)
    parser.add_argument("--arch", choices=sorted(ARCHITECTURES), default="amd64")
    parser.add_argument("--folder", type=Path, help="where (default: build/image-ARCH)")
    parser.add_argument(
        "--keyring", type=Path, metavar="PEM", help="whose updates it takes (default: this one's)"
    )
    parser.add_argument(
        "--kernel",
        type=Path,
        metavar="FILE",
        help="our own (default: Debian's)",
    )
    parser.add_argument(
        "--weigh", action="store_true", help="print what is in it and what that weighs"
    )
    options = parser.parse_args()
    folder = options.folder or REPOSITORY / "build" / f"image-{options.arch}"
    begun = time.monotonic()
    try:
        architecture, cache = ARCHITECTURES[options.arch], cache_from_environment()
        made = build(architecture, folder, cache, _say, options.keyring, options.kernel)
        print(f"{made.disk}: made in {time.monotonic() - begun:.0f} s", file=sys.stderr)
        if options.weigh:
            root = made.disk.with_name("root.verity")
            print(table(list(weights(root)), made.sizes), end="")
    except ImageFailed as problem:
        print(f"image: {problem}", file=sys.stderr)
        return 1
    return 0


def _say(text: str) -> None:
    print(f"image: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
