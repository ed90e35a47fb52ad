# shellcheck shell=bash
# What the tests of commands on a tiny model share; they source it from the tree's root. $oedit and
# $maker (tests/tiny_model.c) are absolute; the current folder is a new one, which is HOME, too, and
# goes at the end; leave() may be redefined to do more then.
# wrong, refused, right, says, matches and same count into $failed what is not as it should be.
oedit=${OEDIT_BIN:-$PWD/build/oedit}
maker=${OEDIT_BUILD:-$PWD/build}/tests/tiny_model
[[ $oedit == /* ]] || oedit=$PWD/$oedit
[[ $maker == /* ]] || maker=$PWD/$maker
work=$(mktemp -d)
leave() {
    rm -rf "$work"
}
trap leave EXIT
export XDG_CACHE_HOME=$work/cache HOME=$work
if [ ! -x "$maker" ]; then
    echo "skipped: $maker is not built"
    exit 77
fi
cd "$work"
failed=0

wrong() {
    echo "FAILED: $*"
    cat out.txt err.txt
    failed=1
}

# refused CODE WORDS COMMAND...: the exit code is CODE, stderr's last line has WORDS.
refused() {
    local code=$1 words=$2 got=0
    shift 2
    "$@" > out.txt 2> err.txt || got=$?
    [ "$got" = "$code" ] && tail -1 err.txt | grep -qF -- "$words" ||
        wrong "$*: exit code $got, wanted $code with '$words'"
}

right() { # COMMAND...
    "$@" > out.txt 2> err.txt || wrong "$*"
}

says() { # WORDS FILE
    grep -qF -- "$1" "$2" || wrong "$2 lacks '$1'"
}

matches() { # EXPRESSION FILE
    grep -qE -- "$1" "$2" || wrong "no line of $2 matches '$1'"
}

same() { # FILE FILE
    cmp "$1" "$2" || wrong "$1 and $2 differ"
}
