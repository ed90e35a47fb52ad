#!/usr/bin/env bash
# The manual page, the completions of three shells, and what `oedit` says to somebody lost. All of it
# is written from the tables of commands and options; what --help lists must be met everywhere.
set -euo pipefail

oedit=${OEDIT_BIN:-$PWD/build/oedit}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
ln -s "$oedit" "$work/bin/oedit"
export PATH=$work/bin:$PATH HOME=$work
cd "$work"
failed=0
lack() {
    echo "FAILED: $*"
    failed=1
}

oedit help --man > oedit.1
for shell in bash zsh fish; do oedit completion $shell > oedit.$shell; done

# reply WORD...: what bash completes behind `oedit`, one a line; it runs as bash calls it.
reply() {
    bash -c '. "$0"/oedit.bash; COMP_WORDS=(oedit "$@"); COMP_CWORD=$#; _oedit
        printf "%s\n" "${COMPREPLY[@]}"' "$work" "$@" | sort | tr '\n' ' '
}
# completes WANTED WORD...
completes() {
    local wanted=$1 got
    shift
    got=$(reply "$@")
    [ "$got" = "$wanted " ] || lack "bash: oedit $*: got '$got', wanted '$wanted'"
}
mkdir folder
touch 'a file.gguf' folder/b.gguf
completes "edit" edi
completes "generate" gen
# The guards as the help has them, sorted.
guards=$("$oedit" edit --help | sed -nE 's/^ +--guard ([a-z|-]+).*/\1/p' | tr '|' '\n' | sort | paste -sd ' ')
[ -n "$guards" ] || lack "no --guard in the help"
completes "$guards" edit --guard ""
completes "oedit oedit-plus" edit --guard oe
completes "oedit oedit-plus" edit --guard = oe
completes "$guards" edit --guard =
completes "--guard" edit --gu
completes "" generate --gu
completes "a file.gguf" edit -m a
completes "a file.gguf" edit -q --model a
completes "folder/b.gguf" log folder/
completes "" generate folder/
completes "folder" apply --peft f
completes "" apply --peft a
completes "" edit --layer ""
completes "bash fish zsh" completion ""
completes "--man" help --m

# Every option of every command: in the manual, and completed by bash.
commands=$(oedit --help | sed -nE 's/^  oedit ([a-z]+) .*/\1/p' | sort -u | grep -vx completion)
[ "$(wc -w <<< "$commands")" -ge 16 ] || lack "--help lists only: $commands"
for command in $commands; do
    grep -qx "\.B $command" oedit.1 || lack "the manual lacks the command $command"
    for name in $(oedit "$command" --help | sed -nE 's/^  (-.,|   ) --([a-z0-9-]+).*/\2/p'); do
        grep -qF "\\fB\\-\\-${name//-/\\-}\\fR" oedit.1 || lack "the manual lacks --$name"
        [[ " $(reply "$command" "--$name")" == *" --$name "* ]] || lack "bash: $command lacks --$name"
    done
done

if command -v mandoc > /dev/null; then
    mandoc -T lint -W warning oedit.1 || lack "mandoc on oedit.1"
else
    echo "skipped: no mandoc"
fi
if command -v man > /dev/null; then
    said=$(LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings -l oedit.1 2>&1 > page.txt) || true
    [ -z "$said" ] || lack "man: $said"
    grep -qE -- '--guard +none.r-edit' page.txt || lack "man shows no --guard"
    # groff warns of nothing here, but hides what a bad escape takes away
    grep -q 'facts.jsonl' page.txt || lack "man shows no examples"
else
    echo "skipped: no man"
fi
if command -v fish > /dev/null; then
    # fish_completes WANTED LINE
    fish_completes() {
        local got
        got=$(fish -c 'source oedit.fish; complete -C "'"$2"'"' | cut -f 1 | sort | tr '\n' ' ')
        [ "$got" = "$1 " ] || lack "fish: $2: got '$got', wanted '$1'"
    }
    fish -n oedit.fish || lack "fish -n"
    fish_completes "$guards" "oedit edit --guard "
    fish_completes "--guard" "oedit edit --gu"
    fish_completes "folder/b.gguf" "oedit log folder/"
    fish_completes "folder/b.gguf" "oedit generate -m folder/"
    fish_completes "folder/" "oedit apply --peft f"
    fish_completes "verify" "oedit verif"
else
    echo "skipped: no fish"
fi
if command -v zsh > /dev/null; then
    zsh -n oedit.zsh || lack "zsh -n"
    # A terminal of zsh's own, in which Tab is pressed; what is on the line then comes back.
    cat > press.zsh << 'END'
zmodload zsh/zpty
zpty z 'PS1=; zsh -f -i'
zpty -w z 'autoload -Uz compinit; compinit -u -D; source ./oedit.zsh; bindkey "^Y" beginning-of-line
show() { print -r -- "LINE<$BUFFER>"; }; zle -N show; bindkey "^T" show; unsetopt automenu; echo rea''dy'
zpty -r -m z said '*ready*'
zpty -w -n z "$1"$'\t\x14'
zpty -r -m z said '*LINE<*>*'
print -r -- "${${said##*LINE<}%%>*}"
zpty -d z
END
    # zsh_completes WANTED LINE
    zsh_completes() {
        local got
        got=$(timeout 60 zsh -f press.zsh "$2" 2>&1) || true
        [ "$got" = "$1" ] || lack "zsh: $2: got '$got', wanted '$1'"
    }
    zsh_completes "oedit generate " "oedit gener"
    zsh_completes "oedit edit --guard r-edit " "oedit edit --guard r-"
    zsh_completes "oedit edit --solver=memit " "oedit edit --solver=m"
    zsh_completes "oedit log folder/b.gguf " "oedit log folder/b"
    zsh_completes "oedit generate -m folder/b.gguf " "oedit generate -m folder/b"
else
    echo "skipped: no zsh"
fi

# says CODE WORDS COMMAND...: exit code and a part of what is said.
says() {
    local code=$1 words=$2 got=0
    shift 2
    "$@" > said.txt 2>&1 || got=$?
    [ "$got" = "$code" ] && grep -qF -- "$words" said.txt ||
        lack "$*: exit code $got, wanted $code with '$words'; got: $(cat said.txt)"
}
says 2 "oedit --help" oedit
[ "$(wc -l < said.txt)" -le 10 ] || lack "oedit alone says more than ten lines"
says 2 "did you mean --guard?" oedit edit --gaurd oedit
says 2 "did you mean oedit-plus?" oedit edit --guard oedit-pls
says 2 "did you mean verify?" oedit verfy
says 2 "did you mean completion?" oedit completoin bash
says 2 "wanted bash, zsh or fish" oedit completion csh
says 2 "wanted one word" oedit completion
says 2 "did you mean edit?" oedit help edi
says 0 "MIT licence" oedit --version
says 0 "--guard" oedit help edit
# Nothing but text where no terminal is.
for words in "" --version --help "help edit" "edit --gaurd x" "help --man" devices; do
    # shellcheck disable=SC2086 # several words
    oedit $words > said.txt 2>&1 || true
    ! LC_ALL=C grep -q $'\033' said.txt || lack "oedit $words: control codes without a terminal"
done
exit $failed
