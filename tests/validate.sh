#!/usr/bin/env bash
# The operators' and edits' tests under the newest Khronos validation layer: its core checks, and
# its checks of every address a shader touches. Any error it reports fails. What it cannot see:
# a missing barrier between shaders (it does not follow memory behind addresses), and an overrun
# inside one device allocation (the tests' guard bands find those).
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
mapfile -t programs < <(find "$build/tests" -maxdepth 1 -type f -executable -printf '%f\n' |
    grep -E '^test_(cmd|ops|gemm|svd|project|solve|model|edit)' | sort)
[ ${#programs[@]} -gt 0 ] || { echo "validate: no test programs in $build/tests" >&2; exit 1; }
for program in "${programs[@]}"; do
    code=0
    timeout 400 "$build/tests/$program" > "$log" 2>&1 || code=$?
    if [ $code != 0 ] && [ $code != 77 ]; then
        echo "validate: $program: exit code $code"
        tail -40 "$log"
        failed=1
    elif grep -nE -A6 'VUID-|SYNC-HAZARD|Validation Error' "$log" | head -40 | grep .; then
        echo "validate: $program: the layer's reports are above"
        failed=1
    else
        echo "validate: $program is clean"
    fi
done
exit $failed
