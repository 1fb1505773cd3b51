#!/bin/sh
# Buildroot runs it when root file system and kernel are there: verity, boot slots, disk.
#
#   post-image.sh IMAGES-DIRECTORY MACHINE
set -eu
cd "$(dirname "$0")/../.."
exec .venv/bin/python -m tools.shipping.hooks disk "$1" "$2"
