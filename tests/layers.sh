#!/usr/bin/env bash
# The rules of the house that a compiler does not check, on src/ (or the folder in $1): who may
# include whom, where Vulkan, the environment and exit() are met, names and lengths of files.
# Prints FILE:LINE: WHAT for every violation. First it breaks each rule in a copy, to see that it bites.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)

# One line per violation for the tree in folder $1; fails if there is any.
check() {
    local files
    cd "$1"
    mapfile -t files < <(find . -name '*.[ch]' -printf '%P\n' | sort)
    awk '
        BEGIN {
            # What each folder may include: only what stands below it.
            may["base"] = "base"
            may["vk"] = "vk base"
            may["ops"] = "ops vk base"
            may["check"] = "check ops io vk base"
            may["linalg"] = "linalg ops vk base"
            may["io"] = "io base"
            may["model"] = "model io ops vk base"
            may["edit"] = "edit model linalg io ops base"
            may["eval"] = "eval model linalg io ops base"
            may["plot"] = "plot base"
            may["cli"] = "cli check edit eval plot model linalg io ops vk base"
            # These see the device as buffers and recordings, not as Vulkan.
            through["edit"] = through["eval"] = "vk/buffer.h vk/cmd.h"
        }
        function bad(what) { printf "%s:%d: %s\n", FILENAME, FNR, what; count++ }
        function has(list, word) { return index(" " list " ", " " word " ") > 0 }
        FNR == 1 {
            parts = split(FILENAME, part, "/")
            folder = part[1]
            if (parts != 2 || !(folder in may)) bad("not in a folder that has a place in the order")
            stem = part[parts]
            sub(/\.[ch]$/, "", stem)
            if ((stem in home) && home[stem] != folder) bad("another " stem " stands in " home[stem] "/")
            home[stem] = folder
            comment = 0
        }
        FNR == 501 { bad("over 500 lines") }
        {
            line = $0
            if (match(line, /^[ \t]*#[ \t]*include[ \t]*[<"][^>"]*[>"]/)) {
                name = line
                gsub(/^[ \t]*#[ \t]*include[ \t]*[<"]|[>"].*$/, "", name)
                if (line ~ /</) {
                    if (name ~ /^(volk|vulkan\/.*|vk_.*)\.h$/ && folder != "vk")
                        bad(name " outside vk/")
                } else if (name ~ /\//) {
                    split(name, target, "/")
                    if (!has(may[folder], target[1]) && !has(through[folder], name))
                        bad(folder "/ may not include " name)
                } else if (name !~ /\.(def|inc)$/ && name != "oedit.h")
                    bad("include \"" name "\" by its folder")
                next
            }
            # Comments may name what they like.
            while (1) {
                if (comment) {
                    if (!(end = index(line, "*/"))) { line = ""; break }
                    line = substr(line, end + 2)
                    comment = 0
                }
                sub(/\/\/.*/, "", line)
                if (!(start = index(line, "/*"))) break
                rest = substr(line, start + 2)
                line = substr(line, 1, start - 1)
                if (end = index(rest, "*/")) line = line " " substr(rest, end + 2)
                else { comment = 1; break }
            }
            gsub(/"([^"\\]|\\.)*"/, "\"\"", line)
            line = " " line " "
            if (folder != "vk" && match(line, /[^A-Za-z0-9_](Vk[A-Z]|vk[A-Z]|VK_[A-Z])[A-Za-z0-9_]*/))
                bad(substr(line, RSTART + 1, RLENGTH - 1) " outside vk/")
            if (line ~ /[^A-Za-z0-9_](secure_)?getenv[ \t]*\(/ && FILENAME !~ /^base\/(options|paths)[a-z_]*\.c$/)
                bad("getenv outside base/options and base/paths")
            if (line ~ /[^A-Za-z0-9_](exit|_exit|_Exit|quick_exit)[ \t]*\(/ && FILENAME != "cli/main.c")
                bad("exit outside cli/main.c")
        }
        END { exit count > 0 }' "${files[@]}"
}

# expect WHAT FILE LINE: in a fresh copy of src/, with LINE at the end of FILE, check must name it.
expect() {
    local what=$1 file=$2 line=$3 copy=$temporary/copy said
    rm -rf "$copy"
    cp -r "$root/src" "$copy"
    mkdir -p "$copy/$(dirname "$file")"
    printf '%s\n' "$line" >> "$copy/$file"
    if said=$(check "$copy") || ! grep -qF "$file:" <<< "$said" || ! grep -qF "$what" <<< "$said"; then
        echo "self-check failed: '$line' in $file was not reported as '$what'" >&2
        exit 1
    fi
}

temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
expect 'base/ may not include vk/cmd.h' base/planted.c '#include "vk/cmd.h"'
expect 'vk/ may not include ops/ops.h' vk/planted.c '#include "ops/ops.h"'
expect 'io/ may not include vk/buffer.h' io/planted.c '#include "vk/buffer.h"'
expect 'io/ may not include ops/ops.h' io/planted.c '#  include "ops/ops.h"'
expect 'linalg/ may not include model/model.h' linalg/planted.c '#include "model/model.h"'
expect 'linalg/ may not include io/gguf.h' linalg/planted.h '#include "io/gguf.h"'
expect 'edit/ may not include eval/eval.h' edit/planted.c '#include "eval/eval.h"'
expect 'eval/ may not include edit/editor.h' eval/planted.c '#include "edit/editor.h"'
expect 'edit/ may not include vk/device.h' edit/planted.c '#include "vk/device.h"'
expect 'plot/ may not include model/model.h' plot/planted.c '#include "model/model.h"'
expect 'model/ may not include cli/args.h' model/planted.c '#include "cli/args.h"'
expect 'volk.h outside vk/' edit/planted.c '#include <volk.h>'
expect 'VkBuffer outside vk/' cli/planted.c 'static VkBuffer planted;'
expect 'vkQueueSubmit outside vk/' model/planted.c '/* a */ int f(void) { return vkQueueSubmit(0); }'
expect 'getenv outside' vk/planted.c 'static const char *f(void) { return getenv("HOME"); }'
expect 'exit outside' cli/planted.c 'static void f(void) { exit(1); }'
expect 'by its folder' ops/planted.c '#include "gemm.h"'
expect 'another status stands in base/' vk/status.c 'int planted;'
expect 'over 500 lines' model/planted.c "$(seq -f '// %.0f' 501)"
expect 'not in a folder' planted.c 'int planted;'

if check "$root/src"; then
    echo "layers: $(find "$root/src" -name '*.[ch]' | wc -l) files keep the rules"
else
    echo "layers: see DESIGN, \"Tree and layers\"; above is what breaks the rules" >&2
    exit 1
fi
