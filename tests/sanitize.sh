#!/usr/bin/env bash
# The C tests and the journal's commands once more in a build with ASan and UBSan. Without the real
# model: the tests' own tiny ones reach the same code, and sanitized code is slow.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
build=${OEDIT_BUILD:-$root/build}/asan
cd "$root"

# Left out: what runs the same code once more, on other drivers or against plain C.
long='^test_(model_smollm2|matrix|selftest|twin_.*|broken|bench|gemm|gemm_coop|numbers)$'

mkdir -p "$build"
{
    cmake -S . -B "$build" -G Ninja -DOEDIT_SANITIZE=ON -DOEDIT_TESTS=ON -DOEDIT_SPIRV="${build%/asan}/spirv" &&
        cmake --build "$build"
} > "$build/build.log" 2>&1 || {
    tail -40 "$build/build.log"
    echo "sanitize: the build failed" >&2
    exit 1
}

unset OEDIT_MODEL
export OEDIT_SHORT=1
# The loader closes a driver at the end, and LeakSanitizer can then no longer tell that a leak is
# the driver's. So nothing is closed; our own leaks are found all the same.
gcc -shared -fPIC -o "$build/keep.so" -x c - <<< 'int dlclose(void *h) { (void)h; return 0; }'
export ASAN_OPTIONS=detect_leaks=1:handle_abort=1:detect_stack_use_after_return=1:verify_asan_link_order=0
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export LSAN_OPTIONS=suppressions=$root/tests/lsan.supp:print_suppressions=0
export LD_PRELOAD=$build/keep.so
ctest --test-dir "$build" --no-tests=error --output-on-failure --timeout 400 -R '^(test_|journal$|measures$)' -E "$long"
