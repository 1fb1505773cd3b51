#!/bin/sh
# Buildroot runs it when the target's files are there, before they become the root file system:
# what makes them a root that is the same on every box.
#
#   post-build.sh TARGET-DIRECTORY MACHINE
set -eu
cd "$(dirname "$0")/../.."
exec .venv/bin/python -m tools.shipping.hooks root "$1" "$2"
