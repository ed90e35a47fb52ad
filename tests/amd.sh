#!/usr/bin/env bash
# AMD's compiler as a bench: every shader is compiled for four families of cards that need not be
# there (RADV's null device). Nothing may spill or use scratch memory, and nothing may need over 10%
# more registers, instructions or cycles, or have a lower occupancy, than tests/golden/amd.tsv says.
# Every shader for strict numbers is compiled so, too (its name ends in _strict): no fused
# multiply-add may stand in its machine code.
# usage: tests/amd.sh             checks
#        tests/amd.sh --update    writes the golden file and the tables of docs/amd.md anew
# With another version of the driver than the golden file's, only spills and scratch are failures.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
build=${OEDIT_BUILD:-$root/build}
golden=$root/tests/golden/amd.tsv
page=$root/docs/amd.md
driver=radv-backports
families=(navi21 vega10 navi31 gfx1201)
# Of the page's tables: what an edit spends its time in.
important='^(gemm_(nt|nn|tn)_(64x4w1|32x4w8|16x4w8|1x8w8)(_v[135])?|gemm_coop_[0-9xw]+(_v[135])?|attention.*w8|jacobi.*(w8|turn)|chol_block)$'

cd "$root"
export OEDIT_DRIVERS=${OEDIT_DRIVERS:-$root/build/drivers} MESA_SHADER_CACHE_DISABLE=1
if [ ! -f "$OEDIT_DRIVERS/env/$driver.sh" ]; then
    echo "skipped: AMD's compiler is not in $OEDIT_DRIVERS: run tools/drivers.sh, which says why"
    exit 77
fi
[ -x "$build/amd_stats" ] || { echo "amd: no $build/amd_stats: build with -DOEDIT_TESTS=ON" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Mesa 26 has taken the null device out.
if ! RADV_FORCE_FAMILY=${families[0]} tools/run_with.sh $driver "$build/oedit" devices > "$work/devices" 2>&1; then
    echo "skipped: this RADV compiles for no card that is not there: $(tail -1 "$work/devices")"
    exit 77
fi

# stats FAMILY OPTIONS...: the table of one family.
stats() {
    local family=$1
    shift
    RADV_FORCE_FAMILY=$family tools/run_with.sh $driver "$build/amd_stats" "$@" 2> "$work/log" && return
    echo "amd: $family: $(tail -1 "$work/log")" >&2
    return 1
}

# The table of all families in the golden file's form.
measure() {
    local family
    for family in "${families[@]}"; do
        stats "$family" > "$work/$family"
        stats "$family" --strict --unfused > "$work/strict"
        sed 1d "$work/strict" >> "$work/$family"
        # The part before the name of the driver differs by family.
        sed -nE 's/^device: .*\| (.*)/# \1/p' "$work/log" > "$work/driver"
    done
    cat "$work/driver"
    sed 's/^/family\t/; 1q' "$work/${families[0]}"
    for family in "${families[@]}"; do
        sed "1d; s/^/$family\t/" "$work/$family"
    done
}

# check GOLDEN MEASURED: a line for each thing that is worse; fails if there is any.
check() {
    awk -F'\t' '
        function bad(what) { print $1 " " $2 " (" $3 " threads): " what; count++ }
        function note(what) { if (same) bad(what); else others++ }
        /^#/ { driver[FILENAME] = $0; next }
        $1 == "family" {
            for (i = 1; i <= NF; i++) column[FILENAME, $i] = i
            same = driver[ARGV[1]] == driver[FILENAME]
            next
        }
        { key = $1 FS $2 FS $3 }
        FILENAME == ARGV[1] {
            for (i = 4; i <= NF; i++) old[key, i] = $i
            golden[key] = 1
            next
        }
        {
            seen[key] = 1
            if ($(column[FILENAME, "spilled"])) bad($(column[FILENAME, "spilled"]) " registers spilled")
            if ($2 ~ /_strict$/ && $(column[FILENAME, "fused"]))
                bad($(column[FILENAME, "fused"]) " fused multiply-adds in strict numbers")
            # vega10 has a multiply-add that rounds twice; its compiler never takes the fused one.
            if ($1 != "vega10" && $2 ~ /^gemm_n[nt]_.*[0-9]$/ && !$(column[FILENAME, "fused"]))
                bad("no fused multiply-add: the search does not find them")
            if ($(column[FILENAME, "scratch"])) bad($(column[FILENAME, "scratch"]) " bytes of scratch memory")
            if (!(key in golden)) {
                bad("not in the golden file; if the shader is new: tests/amd.sh --update")
                next
            }
            split("vgprs instructions throughput", names, " ")
            for (n = 1; n <= 3; n++) {
                now = $(column[FILENAME, names[n]])
                was = old[key, column[ARGV[1], names[n]]]
                if (now > 1.1 * was) note(names[n] " " now ", was " was)
                if (now < 0.9 * was) better++
            }
            now = $(column[FILENAME, "occupancy"])
            was = old[key, column[ARGV[1], "occupancy"]]
            if (now < was) note("occupancy " now ", was " was)
        }
        END {
            for (key in golden) if (!(key in seen)) {
                $0 = key
                bad("in the golden file, but there is no such shader: tests/amd.sh --update")
            }
            if (!same)
                printf "the golden file is of%s, this driver is%s: %d differences that are not " \
                    "counted; tests/amd.sh --update\n", substr(driver[ARGV[1]], 2),
                    substr(driver[ARGV[2]], 2), others
            if (better) print better " figures are better by over 10%; tests/amd.sh --update keeps them"
            exit count > 0
        }' "$1" "$2"
}

# expect WHAT SED-SCRIPT FILE: with that change to a copy of the golden or the measured table (FILE),
# which are else the same, check must say it.
expect() {
    local what=$1 script=$2 file=$3 said
    cp "$work/now" "$work/golden"
    cp "$work/now" "$work/measured"
    sed -E "$script" "$work/now" > "$work/$file"
    if cmp -s "$work/now" "$work/$file"; then
        echo "self-check failed: '$script' changes nothing" >&2
        exit 1
    fi
    if said=$(check "$work/golden" "$work/measured") || ! grep -qF "$what" <<< "$said"; then
        echo "self-check failed: '$script' in the $file table was not reported as '$what'" >&2
        exit 1
    fi
}

# One table a family, of the important shaders in the golden file $1.
tables() {
    awk -F'\t' -v important="$important" '
        /^#/ { sub(/^# /, ""); print "Compiler: " $0 "."; next }
        $1 == "family" { next }
        $1 != family {
            family = $1
            print "\n### " family "\n"
            print "| shader | threads | VGPRs | shared bytes | occupancy | instructions | cycles |"
            print "|---|---|---|---|---|---|---|"
        }
        $2 ~ important { print "| " $2 " | " $3 " | " $4 " | " $8 " | " $9 " | " $10 " | " $11 " |" }
    ' "$1"
}

# The page $1 with the tables of golden file $2 between its two marks.
page_with() {
    awk '/^<!-- tables: begin/ { print; exit } { print }' "$1"
    tables "$2"
    awk '/^<!-- tables: end/ { on = 1 } on' "$1"
}

measure > "$work/now"
if [ "${1:-}" = --update ]; then
    cp "$work/now" "$golden"
    page_with "$page" "$golden" > "$work/page"
    cp "$work/page" "$page"
    echo "amd: wrote $(grep -c -v '^#' "$golden") lines to tests/golden/amd.tsv, and the tables of docs/amd.md"
fi

row='^(navi31\tembed\t64\t)([0-9]+)\t([0-9]+)\t([0-9]+)\t([0-9]+)\t([0-9]+)\t([0-9]+)\t'
expect 'registers spilled' "s/$row/\1\2\t\3\t7\t\5\t\6\t\7\t/" measured
expect 'bytes of scratch memory' "s/$row/\1\2\t\3\t\4\t64\t\6\t\7\t/" measured
expect 'vgprs 9999, was' "s/$row/\19999\t\3\t\4\t\5\t\6\t\7\t/" measured
expect 'occupancy 1, was' "s/$row/\1\2\t\3\t\4\t\5\t\6\t1\t/" measured
expect 'instructions' "s/$row([0-9]+)/\1\2\t\3\t\4\t\5\t\6\t\7\t10/" golden
expect 'throughput' "s/$row([0-9]+)\t[0-9]+/\1\2\t\3\t\4\t\5\t\6\t\7\t\8\t10/" golden
expect 'if the shader is new' "/$row/d" golden
expect 'there is no such shader' "/$row/d" measured
strict='^(navi31\tgemm_nt_16x4w8_strict\t.*\t)'
expect '3 fused multiply-adds in strict numbers' "s/${strict}0$/\13/" measured
expect 'the search does not find them' "s/^(navi31\tgemm_nt_16x4w8\t.*\t)[1-9][0-9]*$/\10/" measured
for family in "${families[@]/vega10/}"; do
    [ -n "$family" ] || continue
    if said=$(stats "$family" --unfused --shader probe_fma_v1 2>&1 > /dev/null) ||
        ! grep -q 'probe_fma_v1 .* fused multiply-adds, wanted none: .*v_fma' <<< "$said"; then
        echo "self-check failed: fma() on $family is not found: $said" >&2
        exit 1
    fi
done
sed -E "1s/.*/# radv of another day/; s/$row/\19999\t\3\t\4\t\5\t\6\t\7\t/" "$work/now" > "$work/measured"
check "$work/now" "$work/measured" | grep -q ': 1 differences that are not counted' || {
    echo "self-check failed: another version of the driver was not told apart" >&2
    exit 1
}

cp "$golden" "$work/golden"
if ! grep -q gemm_coop "$work/now"; then
    echo "amd: gemm_coop is left out: no compiler of this build knows it, see tools/glslang.sh"
    grep -v gemm_coop "$golden" > "$work/golden"
fi
if ! check "$work/golden" "$work/now"; then
    echo "amd: above is what got worse; if it is meant: tests/amd.sh --update" >&2
    exit 1
fi
page_with "$page" "$golden" | cmp -s - "$page" || {
    echo "amd: docs/amd.md does not hold the figures of tests/golden/amd.tsv: tests/amd.sh --update" >&2
    exit 1
}
echo "amd: $(grep -c -v '^#\|^family' "$work/now") pipelines for ${families[*]}: no spills, no scratch, none worse," \
    "no fused multiply-add in $(grep -c '_strict' "$work/now") with strict numbers"
