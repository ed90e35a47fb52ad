#!/usr/bin/env bash
# The tests that use the device, under the newest Khronos validation layer: its core checks, and
# its checks of every address a shader touches, and of races in shared memory. Any error it reports
# fails. First an overrun and a race on purpose, which it must find. What it cannot see: a missing
# barrier between shaders (it does not follow memory behind addresses; vk/hazard.h is for that, in the
# same tests), and an overrun inside one device allocation (the tests' guard bands find those).
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
build=${OEDIT_BUILD:-$root/build}
bin=${OEDIT_BIN:-$build/oedit}
layer=${OEDIT_DRIVERS:-$root/build/drivers}/layer
cd "$root"

if [ ! -f "$layer/VkLayer_khronos_validation.json" ]; then
    echo "skipped: no validation layer in $layer, see tools/drivers.sh"
    exit 77
fi
unset OEDIT_MODEL
export OEDIT_SHORT=1 OEDIT_BIN=$bin
export VK_LAYER_PATH=$layer VK_INSTANCE_LAYERS=VK_LAYER_KHRONOS_validation
export VK_LAYER_VALIDATE_SYNC=1 # of copies
# Checks of addresses need 64-bit integers in shaders, which SwiftShader lacks.
[ "${OEDIT_DRIVER:-}" = swiftshader ] || export VK_LAYER_GPUAV_ENABLE=1

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Where the layer is not loaded there is nothing to find: that must not pass.
VK_LOADER_DEBUG=layer,info,error "$bin" devices > "$log" 2>&1 || { cat "$log"; exit 1; }
grep -q VkLayer_khronos_validation.so "$log" || {
    echo "validate: the loader did not load the layer" >&2
    exit 1
}
failed=0
# wrong PROGRAM REPORT: it does wrong on purpose, so the layer must report it.
wrong() {
    local code=0
    "$build/tests/$1" > "$log" 2>&1 || code=$?
    if [ $code != 0 ] || ! grep -qF "$2" "$log"; then
        echo "validate: $1: exit code $code, and the layer was to report '$2'"
        tail -20 "$log"
        exit 1
    fi
    echo "validate: $1 does wrong on purpose: $(grep -cF "$2" "$log") reports of '$2'"
}
if [ "${OEDIT_DRIVER:-}" != swiftshader ]; then
    wrong test_overrun 'Out of bounds: trying to write 4 bytes'
    wrong test_broken SharedMemoryDataRace
fi
# Not those that do wrong on purpose or need a big model. test_gemm and test_gauss compile hundreds of
# pipelines, which takes minutes under the layer: test_model and test_gauss_runs have their operators.
mapfile -t programs < <(find "$build/tests" -maxdepth 1 -type f -executable -printf '%f\n' |
    grep -E '^test_(cmd|ops|svd|project|solve|model|edit|gauss_runs|faults)' |
    grep -v '^test_model_smollm2$' | sort)
[ ${#programs[@]} -gt 0 ] || { echo "validate: no test programs in $build/tests" >&2; exit 1; }
for program in "${programs[@]}"; do
    code=0
    started=$SECONDS
    timeout 400 "$build/tests/$program" > "$log" 2>&1 || code=$?
    if [ $code != 0 ] && [ $code != 77 ]; then
        echo "validate: $program: exit code $code"
        tail -40 "$log"
        failed=1
    elif grep -qE 'VUID-|SYNC-HAZARD|Validation Error' "$log"; then
        grep -nE -m 8 -A6 'VUID-|SYNC-HAZARD|Validation Error' "$log"
        echo "validate: $program: the layer's reports are above"
        failed=1
    else
        echo "validate: $program is clean, $((SECONDS - started)) s"
    fi
done
exit $failed
