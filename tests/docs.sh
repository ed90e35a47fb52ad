#!/usr/bin/env bash
# Every command of the documents is run as it is printed: each block marked sh, line by line, a document
# at a time in a folder with the files that a reader would have. A block is left out only where a line
# before it says why: <!-- by hand: why -->; the reasons are printed. usage: tests/docs.sh [DOCUMENT...]
#   oedit, tools/, assets/, docs/   as after `cmake --install` in the source folder
#   model.gguf, facts.json          the embedded model and edits for it
#   text.txt                        plain text of its world
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
build=${OEDIT_BUILD:-$root/build}
oedit=${OEDIT_BIN:-$build/oedit}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root"
documents=("$@")
[ ${#documents[@]} -gt 0 ] || documents=(README.md CONTRIBUTING.md SECURITY.md CHANGELOG.md docs/*.md)
failed=0 ran=0

# blocks DOCUMENT: its sh blocks, each line after a tab; a line with the number of the line before each.
blocks() {
    awk '
        /^<!-- by hand: / { why = $0; next }
        !inside && /^```/ {
            inside = 1
            take = $0 == "```sh"
            if (take && why) { print "by hand\t" NR "\t" why; take = 0 }
            if (take) print "block\t" NR
            why = ""
            next
        }
        inside && /^```$/ { inside = 0; next }
        inside && take { print "\t" $0 }
        !/^$/ { why = "" }' "$1"
}

export XDG_CACHE_HOME=$work/cache HOME=$work
mkdir "$work/bin"
ln -s "$oedit" "$work/bin/oedit"
PATH=$work/bin:$PATH
for document in "${documents[@]}"; do
    folder=$work/$(basename "$document" .md)
    mkdir "$folder"
    ln -s "$root"/{tools,assets,docs,tests} "$build" "$folder/"
    cp "$root/assets/demo.gguf" "$folder/model.gguf"
    cp "$root/assets/demo.json" "$folder/facts.json"
    cp "$root/assets/demo.txt" "$folder/text.txt"
    blocks "$document" > "$work/blocks"
    while IFS=$'\t' read -r kind line why; do
        case $kind in
        "by hand") echo "docs: $document:$line: not run, ${why#<!-- }" | sed 's/ *-->$//' ;;
        block)
            # Up to the next block.
            awk -F '\t' -v at="$line" '$1 != "" { on = $1 == "block" && $2 == at; next } on' "$work/blocks" |
                cut -f 2- > "$work/commands"
            ran=$((ran + 1))
            if ! (cd "$folder" && bash -euo pipefail "$work/commands" < /dev/null) > "$work/said" 2>&1; then
                echo "FAILED: $document:$line:"
                sed 's/^/    /' "$work/commands"
                tail -20 "$work/said"
                failed=1
            fi
            ;;
        esac
    done < <(grep -v '^	' "$work/blocks")
done
[ $ran -gt 0 ] || { echo "FAILED: no block was run"; failed=1; }
echo "docs: $ran blocks ran"
exit $failed
