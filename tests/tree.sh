#!/usr/bin/env bash
# One operator = one row of shaders/ops.def + one shader of that name + one case in tests/.
# Prints what has no partner.
set -euo pipefail

cd "$(dirname "$0")/.."
failed=0
lack() {
    echo "tree: $*" >&2
    failed=1
}

mapfile -t rows < <(sed -nE 's/^OP\(([a-z0-9_]+),.*/\1/p' shaders/ops.def)
mapfile -t builds < <(sed -nE 's/^BUILD\(([a-z0-9_]+),.*/\1/p' shaders/ops.def | sort -u)
[ ${#rows[@]} -gt 0 ] || lack "shaders/ops.def has no OP row"
shopt -s nullglob
cases=(tests/test_ops*.c)
[ ${#cases[@]} -gt 0 ] || lack "there is no tests/test_ops*.c"

text=$(sed 's,//.*,,' "${cases[@]}" /dev/null)
is_row() { grep -qx -- "$1" <<< "$(printf '%s\n' "${rows[@]}")"; } # no pipe: -q ends early

twice=$(printf '%s\n' "${rows[@]}" | sort | uniq -d)
[ -z "$twice" ] || lack "more than one row for ${twice//$'\n'/ }"
for name in "${rows[@]}"; do
    [ -f "shaders/$name.comp" ] || lack "row $name has no shaders/$name.comp"
    # Its name in a comment does not count.
    grep -qE "\b((op|test|case)_)?$name(_args|_case)?\b" <<< "$text" ||
        lack "row $name is met in no tests/test_ops*.c"
done
for name in "${builds[@]}"; do
    is_row "$name" || lack "BUILD($name, ...) has no row"
done
for shader in shaders/*.comp; do
    name=$(basename "$shader" .comp)
    is_row "$name" || lack "$shader belongs to no row of shaders/ops.def"
done
[ $failed = 0 ] && echo "tree: ${#rows[@]} operators, each with its shader and its test"
exit $failed
