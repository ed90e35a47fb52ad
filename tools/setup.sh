#!/usr/bin/env bash
# Installs what a Debian 12 needs to build, test and run oedit: only the packages that are missing.
# Needs root, or sudo. Where nothing is missing it says so and does not call apt.
# usage: tools/setup.sh [MORE-PACKAGES...]
set -euo pipefail

packages=(
    cmake ninja-build gcc libc6-dev pkg-config  # the build
    glslc glslang-tools spirv-tools             # shaders to SPIR-V
    libvulkan-dev libvulkan-volk-dev            # Vulkan headers and its loader in source
    libstb-dev libcjson-dev libpcre2-dev libutf8proc-dev libxxhash-dev
    libedit-dev libncurses-dev libbsd-dev libmd-dev # lines of oedit try
    fonts-dejavu-core                           # the letters of charts
    libcmocka-dev clang libclang-rt-14-dev      # tests; the fuzz targets
    mandoc zsh fish                             # tests of the manual page and the completions
    python3 python3-pip unzip ca-certificates   # fetching the example model
    libvulkan1 mesa-vulkan-drivers vulkan-validationlayers # running
    "$@"
)

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2> /dev/null)" = installed ]
}

missing=()
for package in "${packages[@]}"; do
    is_installed "$package" || missing+=("$package")
done
if [ ${#missing[@]} = 0 ]; then
    echo "setup: all ${#packages[@]} packages are there"
    exit 0
fi

as_root=()
if [ "$(id -u)" != 0 ]; then
    command -v sudo > /dev/null || {
        echo "setup: missing: ${missing[*]}; needs root or sudo to install them" >&2
        exit 1
    }
    as_root=(sudo)
fi
command -v apt-get > /dev/null || {
    echo "setup: missing: ${missing[*]}; there is no apt-get to install them" >&2
    exit 1
}
echo "setup: installing ${missing[*]}"
"${as_root[@]}" apt-get -q update
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -q -y install --no-install-recommends "${missing[@]}"
echo "setup: installed ${#missing[@]} packages"
