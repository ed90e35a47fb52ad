#!/usr/bin/env bash
# The Windows binary: built by mingw-w64 where that is installed; run under wine where that is. A wine
# that finds no Vulkan driver gives the loader's error and exit code 3; where it finds one (it wants a
# display for that, which Xvfb is), strict edits give the same bytes as on this system.
set -euo pipefail

build=${OEDIT_BUILD:-$PWD/build}
work=$(mktemp -d)
display=
trap '[ -z "$display" ] || kill "$display"; rm -rf "$work"' EXIT
oedit=${OEDIT_BIN:-$build/oedit}
failed=0
lack() {
    echo "FAILED: $*"
    failed=1
}

code=0
OEDIT_WINDOWS=$build/windows tools/windows.sh -DOEDIT_SPIRV="$build/spirv" > "$work/log" 2>&1 || code=$?
if [ $code = 77 ]; then
    echo "skipped: $(tail -1 "$work/log")"
    exit 77
fi
[ $code = 0 ] || { tail -30 "$work/log"; exit 1; }
tail -1 "$work/log"
# Only what every Windows has.
for dll in $(tail -1 "$work/log" | sed 's/.*it loads://'); do
    [[ $dll =~ ^(KERNEL32|msvcrt|ADVAPI32|USER32|SHELL32)\.dll$ ]] || lack "oedit.exe loads $dll"
done

wine=$(command -v wine64 || command -v wine || ls /usr/lib/wine/wine64 2> /dev/null || true)
if [ -z "$wine" ]; then
    echo "skipped: no wine to run it: apt-get install wine64"
    exit $((failed ? 1 : 77))
fi
export WINEPREFIX=$work/wine WINEDEBUG=-all XDG_RUNTIME_DIR=$work HOME=$work
cd "$work"
if command -v Xvfb > /dev/null; then
    Xvfb -displayfd 3 -nolisten tcp 3> display 2> /dev/null &
    display=$!
    for _ in {1..100}; do [ -s display ] || sleep 0.1; done
    DISPLAY=:$(cat display)
    export DISPLAY
fi
# Whether wine itself works here is asked of a program of its own: where that does not run (no room
# for its prefix, a container that forbids what it needs), nothing is said about oedit.exe.
got=0
for _ in 1 2; do
    timeout 300 "$wine" wineboot -i > boot.txt 2>&1 || true
    got=0
    timeout 300 "$wine" cmd /c exit 7 > said.txt 2>&1 || got=$?
    [ $got != 7 ] || break
    rm -rf "$WINEPREFIX"
done
if [ $got != 7 ]; then
    echo "skipped: wine does not run its own cmd.exe here: $(tr -d '\r' < said.txt | tail -1)"
    echo "$(cat boot.txt; df -h "$work")"
    exit $((failed ? 1 : 77))
fi
# says CODE WORDS ARGUMENTS...: exit code and a part of what is said.
says() {
    local wanted=$1 words=$2 got=0
    shift 2
    timeout 300 "$wine" "$build/windows/oedit.exe" "$@" > said.txt 2>&1 || got=$?
    [ $got = "$wanted" ] && grep -qF -- "$words" said.txt ||
        lack "oedit.exe $*: exit code $got, wanted $wanted with '$words'; got: $(cat said.txt)"
    ! grep -q $'\r' said.txt || lack "oedit.exe $*: carriage returns"
}
says 0 "MIT licence" --version
says 2 "did you mean --guard?" edit --gaurd x
says 0 "--subject" help edit
says 5 "cannot open none.journal" log none.journal
mkdir folder
says 5 "got a folder" log folder
"$build/tests/tiny_model" "$work"
got=0
timeout 300 "$wine" "$build/windows/oedit.exe" devices > said.txt 2>&1 || got=$?
if [ $got = 0 ]; then
    says 0 '"logit"' logits -m base.gguf -p the --json
    edit=(edit -m base.gguf -r facts.jsonl -n 2 --text text.txt --tokens 500 --ridge 0.05
        --contexts 1 --guard oedit-plus --precision strict)
    says 0 "wrote windows.gguf" "${edit[@]}" -o windows.gguf
    XDG_CACHE_HOME=$work/here "$oedit" "${edit[@]}" -o here.gguf > here.txt 2>&1 || lack "$(cat here.txt)"
    for file in gguf gguf.journal; do
        cmp "windows.$file" "here.$file" || lack "$file differs between Windows and here"
    done
    says 0 "the same bits" verify windows.gguf --base base.gguf
    says 2 "that is the model itself" "${edit[@]}" -o base.gguf
    says 0 "" revert windows.gguf.journal --all -m base.gguf -o back.gguf
    cmp base.gguf back.gguf || lack "revert --all is not the model"
    echo "ran under wine on a device: the same bytes as here"
else
    says 3 "no usable Vulkan driver" devices
    echo "skipped: wine loads no Vulkan driver here: $(tr -d '\r' < said.txt)"
fi
timeout 60 "${wine%64}server" -k 2> /dev/null || timeout 60 /usr/lib/wine/wineserver -k 2> /dev/null || true
exit $failed
