#!/usr/bin/env bash
# From nothing to the demo: installs what is missing, builds oedit, runs `oedit demo`.
# usage: tools/demo.sh [OPTIONS OF oedit demo...]      OEDIT_BUILD=FOLDER: build folder [build]
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
build=${OEDIT_BUILD:-$root/build}
mkdir -p "$build"
"$root/tools/setup.sh" >&2
echo "demo: building $build/oedit" >&2
(cmake -S "$root" -B "$build" -G Ninja && cmake --build "$build" --target oedit) > "$build/demo.log" 2>&1 || {
    tail -30 "$build/demo.log" >&2
    echo "demo: the build failed" >&2
    exit 1
}
exec "$build/oedit" demo "$@"
