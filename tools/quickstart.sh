#!/usr/bin/env bash
# The main job from nothing: installs what is missing, builds oedit, fetches a small model, edits
# six facts in it with MEMIT under O-Edit+, and shows each prompt's answer before and after.
# usage: tools/quickstart.sh [OPTIONS OF oedit edit...]      e.g. tools/quickstart.sh --guard none
#   OEDIT_OUT=FILE      where the edited model goes: SmolLM2-135M-edited.gguf unless told
#   OEDIT_BUILD=FOLDER  build folder, "build" unless told
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
build=${OEDIT_BUILD:-$root/build}
out=${OEDIT_OUT:-SmolLM2-135M-edited.gguf}
log=$build/quickstart.log

# quietly WHAT COMMAND...: one line of it; all of its output if it fails.
quietly() {
    local what=$1
    shift
    echo "quickstart: $what" >&2
    "$@" > "$log" 2>&1 || {
        cat "$log" >&2
        echo "quickstart: $what: failed; its output is above" >&2
        exit 1
    }
}

build_oedit() {
    cmake -S "$root" -B "$build" -G Ninja && cmake --build "$build" --target oedit
}

# Every call of the program stands here.
devices() { "$build/oedit" devices; }
edit() { "$build/oedit" edit -m "$model" -r "$root/assets/quickstart.json" \
    --hparams "$root/assets/quickstart-hparams.json" "${text[@]}" \
    --solver memit --guard oedit-plus --answers -o "$out" "$@"; }

# English prose that every Debian has: sampling text from the model would take longer than the
# edits. With a text of your own the statistics are better.
licences=(/usr/share/common-licenses/{GPL-3,Apache-2.0,Artistic,GFDL-1.3,MPL-2.0})
text=()
mkdir -p "$build"
if cat "${licences[@]}" > "$build/quickstart.txt" 2> /dev/null; then
    text=(--text "$build/quickstart.txt" --tokens 6144)
fi

mkdir -p "$build"
"$root/tools/setup.sh" >&2
quietly "building $build/oedit" build_oedit
model=$("$root/tools/fetch_model.sh")
echo "quickstart: the model is $model" >&2
devices >&2
[[ " $* " == *" --resume "* ]] || rm -f "$out.journal" # of an earlier quickstart
edit "$@"
echo "quickstart: the edited model is $out; ask it yourself:" >&2
echo "  $build/oedit generate -m $out -p \"The Eiffel Tower stands in the city of\" -n 8" >&2
