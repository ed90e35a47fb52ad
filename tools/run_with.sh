#!/usr/bin/env bash
# Runs a command under one of the drivers that tools/drivers.sh has put into build/drivers.
# usage: tools/run_with.sh NAME COMMAND...        NAME: lavapipe-bookworm, swiftshader, ...
set -euo pipefail

drivers=${OEDIT_DRIVERS:-$(dirname "$0")/../build/drivers}
if [ $# -lt 2 ]; then
    echo "usage: $0 NAME COMMAND..." >&2
    exit 2
fi
name=$1
shift
if [ ! -f "$drivers/env/$name.sh" ]; then
    echo "run_with: no driver '$name' in $drivers: run tools/drivers.sh" >&2
    exit 2
fi
# shellcheck source=/dev/null
. "$drivers/env/$name.sh"
exec "$@"
