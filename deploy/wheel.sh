#!/bin/sh
# The wheel of the newest commit into the folder $1, the same bit by bit whoever makes it: from the
# commit's files alone, with their modes and its date. PYTHON is one with the locked build tools.
set -eu
mkdir -p "$1"
out=$(cd "$1" && pwd)
here=$(git rev-parse --show-toplevel)
files=$(mktemp -d)
trap 'rm -rf "$files"' EXIT
umask 022
git -C "$here" -c tar.umask=0022 archive HEAD | tar -xp -C "$files"
SOURCE_DATE_EPOCH=$(git -C "$here" log -1 --format=%ct)
export SOURCE_DATE_EPOCH
cd "$files"
"${PYTHON:-python3}" -W ignore -c \
  "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])" "$out" >/dev/null
ls "$out"/*.whl
