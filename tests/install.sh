#!/usr/bin/env bash
# `cmake --install` into an empty folder: everything is there, and a program of somebody else's
# (docs/example.c) is compiled against it by pkg-config and writes a fact into a model.
set -euo pipefail

build=${OEDIT_BUILD:-$PWD/build}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME=$work/cache HOME=$work
failed=0
lack() {
    echo "FAILED: $*"
    failed=1
}

DESTDIR=$work/root cmake --install "$build" --prefix /usr > "$work/log" || { cat "$work/log"; exit 1; }
cd "$work/root/usr"
for file in bin/oedit include/oedit.h share/man/man1/oedit.1.gz \
    share/bash-completion/completions/oedit share/fish/vendor_completions.d/oedit.fish \
    share/doc/oedit/README.md share/doc/oedit/LICENSE share/doc/oedit/docs/journal.md \
    share/doc/oedit/examples/hparams/default.json share/doc/oedit/examples/quickstart.json \
    share/doc/oedit/examples/cluster/Snakefile share/doc/oedit/examples/experiments/table6.json; do
    [ -s $file ] || lack "$file was not installed"
done
[ -n "$(find . -name _oedit -size +0)" ] || lack "zsh's completion was not installed"
zcat share/man/man1/oedit.1.gz | grep -q '^\.TH OEDIT 1 ' || lack "the manual page is none"
bin/oedit --version | grep -q '^oedit [0-9]' || lack "bin/oedit --version"
# The library shows what oedit.h declares, and nothing else.
library=$(find . -name liboedit.a)
pc=$(find "$PWD" -name oedit.pc)
[ -f "$library" ] && [ -f "$pc" ] || { lack "no liboedit.a or no oedit.pc"; exit 1; }
diff <(nm -g --defined-only "$library" | sed -nE 's/.* [A-TV-Z] //p' | sort) \
    <(grep -oE '\*?\boedit_[a-z]+\(' include/oedit.h | tr -d '*(' | sort -u) ||
    lack "liboedit.a and oedit.h differ in what they offer"

flags=$(PKG_CONFIG_PATH=$(dirname "$pc") pkg-config --cflags --libs --static oedit)
[[ $flags == *"$work/root/usr/"* ]] || lack "pkg-config points elsewhere: $flags"
sanitize=
if nm "$library" | grep -q __asan_init; then sanitize=-fsanitize=address,undefined; fi
# shellcheck disable=SC2086 # several flags
cc -std=c11 -Wall -Wextra -Werror $sanitize share/doc/oedit/examples/example.c $flags -o "$work/example"
[ "$(grep -c . share/doc/oedit/examples/example.c)" -le 32 ] || lack "example.c is longer than it says"

# tiny_model writes base.gguf, text.txt and facts.jsonl.
cd "$work"
"$build/tests/tiny_model" "$work"
field() { head -1 facts.jsonl | sed -E "s/.*\"$1\": \"([^\"]*)\".*/\1/"; }
if ! ./example base.gguf "$(field prompt)" "$(field subject)" "$(field target_new)" new.gguf \
    text.txt 500 2> said.txt; then
    cat said.txt
    lack "the example failed"
fi
cmp -s base.gguf new.gguf && lack "the example changed nothing"
root/usr/bin/oedit diff base.gguf new.gguf > said.txt || lack "oedit diff of the example's model"
grep -q ffn_down said.txt || { cat said.txt; lack "the example edited no down projection"; }
code=0
./example none.gguf a b c new2.gguf 2> said.txt || code=$?
[ $code = 5 ] && grep -q "cannot open none.gguf" said.txt || lack "a missing model: $code, $(cat said.txt)"
echo "installed: $(du -sh --apparent-size root | cut -f 1), of it bin/oedit \
$(stat -c %s root/usr/bin/oedit) bytes, $(basename "$library") $(stat -c %s "root/usr/$library") bytes"
exit $failed
