#!/usr/bin/env bash
# The tests of operators, linear algebra and edits once more, under each Vulkan driver that
# tools/drivers.sh has made ready, other than the one the whole run uses.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
build=${OEDIT_BUILD:-$root/build}
cd "$root"

# Minutes matter: these tests, in this order, where they exist. The slow ones run under the main driver.
names='^test_(cmd|ops|gemm|svd|project|solve|model|edit)'
drivers=(lavapipe-backports lavapipe-bookworm swiftshader)

mapfile -t programs < <(find "$build/tests" -maxdepth 1 -type f -executable -printf '%f\n' |
    grep -E "$names" | sort)
[ ${#programs[@]} -gt 0 ] || { echo "drivers: no test programs in $build/tests" >&2; exit 1; }

# under DRIVER PROGRAM: runs it and says how it went, output only of failures.
under() {
    local driver=$1 program=$2 log code=0 started=$SECONDS
    log=$(mktemp)
    tools/run_with.sh "$driver" timeout 300 "$build/tests/$program" > "$log" 2>&1 || code=$?
    case $code in
        0) echo "drivers: $driver $program passed, $((SECONDS - started)) s" ;;
        77) echo "drivers: $driver $program skipped: $(tail -1 "$log")" ;;
        *)
            echo "drivers: $driver $program FAILED, exit code $code, $((SECONDS - started)) s"
            tail -60 "$log"
            failed=1
            ;;
    esac
    rm -f "$log"
}

# Without the model: the tests' own tiny models serve, and SwiftShader is slow.
unset OEDIT_MODEL
# Every program gets OEDIT_SHORT; what it leaves out then is its own affair.
export OEDIT_SHORT=1 OEDIT_BIN=${OEDIT_BIN:-$build/oedit}
failed=0
used=()
for driver in "${drivers[@]}"; do
    if [ "$driver" = "${OEDIT_DRIVER:-}" ]; then
        echo "drivers: $driver is the driver of the whole run"
    elif [ ! -f "${OEDIT_DRIVERS:-build/drivers}/env/$driver.sh" ]; then
        echo "drivers: $driver left out: not ready, see tools/drivers.sh"
    else
        used+=("$driver")
        for program in "${programs[@]}"; do
            under "$driver" "$program"
        done
    fi
done
[ $failed = 0 ] || exit 1
if [ ${#used[@]} = 0 ]; then
    echo "skipped: no further driver is ready"
    exit 77
fi
echo "drivers: used ${used[*]}"
