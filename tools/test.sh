#!/usr/bin/env bash
# The whole test: installs what is missing, builds, fetches drivers and the example model, and runs
# every test. ctest has the last word; the exit code is its own.
# usage: tools/test.sh [CTEST-OPTIONS...]         e.g. tools/test.sh -R test_ops
#   OEDIT_DRIVER=NAME   driver of the whole run: one of tools/drivers.sh, or "system"
#   OEDIT_BUILD=FOLDER  build folder, "build" unless told
set -euo pipefail

cd "$(dirname "$0")/.."
build=${OEDIT_BUILD:-$PWD/build}
export OEDIT_DRIVERS=${OEDIT_DRIVERS:-$PWD/build/drivers}

tools/setup.sh
tools/setup.sh snakemake || echo "test: no snakemake; its part of tests/cluster.sh is left out"
tools/drivers.sh || echo "test: no further drivers; the machine's own serve"
tools/glslang.sh || echo "test: no newer glslang; one operator is left out"

cmake -S . -B "$build" -G Ninja -DOEDIT_TESTS=ON
cmake --build "$build"

# A GPU is what a user has, so it serves where there is one. Else the fastest CPU driver; the other
# ones come in tests/drivers.sh.
driver=${OEDIT_DRIVER:-}
if [ -z "$driver" ]; then
    driver=system
    if ! ls /dev/dri/renderD* > /dev/null 2>&1 && [ -f "$OEDIT_DRIVERS/env/lavapipe-backports.sh" ]; then
        driver=lavapipe-backports
    fi
fi
with=()
if [ "$driver" != system ]; then
    with=(tools/run_with.sh "$driver")
fi
echo "test: the driver of the whole run is: $driver"
"${with[@]}" "$build/oedit" devices || echo "test: oedit devices failed"

if model=$(tools/fetch_model.sh); then
    export OEDIT_MODEL=$model
    echo "test: the model is $model"
else
    echo "test: there is no example model; tests that need it are skipped"
fi

# Two tests at once keep two cores busy; a test that measures time says RUN_SERIAL in CMake.
status=0
"${with[@]}" ctest --test-dir "$build" --output-on-failure --no-tests=error \
    -j "$(nproc)" "$@" || status=$?
exit $status
