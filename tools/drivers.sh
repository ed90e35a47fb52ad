#!/usr/bin/env bash
# Puts Vulkan drivers side by side in build/drivers (or $OEDIT_DRIVERS), without touching the
# system and without root: packages are downloaded and unpacked, never installed.
#   env/NAME.sh   to be sourced (tools/run_with.sh does): the driver, its libraries, its cache
#   icd/NAME.json the driver's manifest      layer/  the newest validation layer, for VK_LAYER_PATH
# Each driver is optional: a line says "ready" or "skipped: why". What is there is kept;
# remove the folder to fetch anew. Exit code 0 unless nothing at all is ready.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
drivers=${OEDIT_DRIVERS:-$here/../build/drivers}
mkdir -p "$drivers"/{icd,env,layer,root,cache,log}
drivers=$(cd "$drivers" && pwd -P)
# shellcheck source=tools/apt_private.sh
. "$here/apt_private.sh"

# Two runs at once would unpack into one folder.
exec 9> "$drivers/lock"
flock 9

reason="" # why the driver in work is skipped

# The private lists, read once and only when something must be downloaded.
lists_state=unread
lists_read() {
    [ "$lists_state" = unread ] || { [ "$lists_state" = "read" ]; return; }
    if apt_private_open "$drivers/apt" backports 2> "$drivers/log/lists"; then
        lists_state="read"
    else
        lists_state=failed
    fi
    [ "$lists_state" = "read" ]
}

# Packages that `apt-get install PACKAGE` would bring, one a line as name=version. The C library
# and the compiler's stay the machine's: two of them in one process do not work.
packages_of() {
    apt_private -s install --no-install-recommends --allow-downgrades "$1" |
        sed -nE 's/^Inst ([^ ]+) (\[[^]]*\] )?\(([^ ]+) .*/\1=\3/p' |
        grep -vE '^(libc6|libc-bin|libgcc-s1|libstdc\+\+6|gcc-12-base)[=:]' || true
}

# unpack ROOT SPEC FILES: downloads package SPEC (NAME or NAME/SUITE) with what it needs beyond
# this machine's own packages (FILES: all), or SPEC alone (FILES: only), and unpacks it into ROOT.
unpack() {
    local root=$1 spec=$2 files=$3 name=${2%%/*} folder=$1.part list=() deb
    lists_read || { reason=$(head -1 "$drivers/log/lists"); return 1; }
    if [ "$files" = all ]; then
        mapfile -t list < <(packages_of "$spec" 2> /dev/null | grep -v "^$name=")
    fi
    rm -rf "$root" "$folder"
    mkdir -p "$folder/debs"
    (cd "$folder/debs" && apt_private download "$spec" "${list[@]}") > "$drivers/log/download" 2>&1 || {
        reason=$(grep -m1 '^E:' "$drivers/log/download" || echo "download of $spec failed")
        rm -rf "$folder"
        return 1
    }
    for deb in "$folder"/debs/*.deb; do
        dpkg -x "$deb" "$folder"
    done
    dpkg-deb -f "$(ls "$folder/debs/${name}_"*.deb)" Version > "$folder/version"
    rm -rf "$folder/debs" "$folder/usr/share/doc" "$folder/usr/share/man"
    mv "$folder" "$root"
}

# write_driver NAME LIBRARY API CACHE-LINES: manifest and environment. Written at every run, since
# both hold absolute paths and the checkout may have moved.
write_driver() {
    local name=$1 library=$2 api=$3 folder
    cat > "$drivers/icd/$name.json" << END
{"file_format_version": "1.0.0", "ICD": {"library_path": "$library", "api_version": "$api"}}
END
    folder=$(dirname "$library")
    mkdir -p "$drivers/cache/$name"
    {
        echo "# made by tools/drivers.sh"
        echo "export OEDIT_DRIVER='$name'"
        echo "export VK_DRIVER_FILES='$drivers/icd/$name.json'"
        echo "export VK_ICD_FILENAMES='$drivers/icd/$name.json'"
        # Mesa's cache is not keyed by all that changes its code: one folder a driver.
        echo "export MESA_SHADER_CACHE_DIR='$drivers/cache/$name'"
        # Mesa's implicit layer would ask a display server which device to prefer.
        echo "export NODEVICE_SELECT=1"
        # Libraries unpacked beside the driver go before the machine's; one driver's are taken
        # back when another is sourced after it.
        echo "export OEDIT_LIBRARY_PATH=\"\${OEDIT_LIBRARY_PATH-\${LD_LIBRARY_PATH-}}\""
        if ls "$folder"/lib*.so.* > /dev/null 2>&1; then
            echo "export LD_LIBRARY_PATH='$folder'\"\${OEDIT_LIBRARY_PATH:+:\$OEDIT_LIBRARY_PATH}\""
        else
            echo "export LD_LIBRARY_PATH=\"\$OEDIT_LIBRARY_PATH\""
        fi
        echo "[ -n \"\$LD_LIBRARY_PATH\" ] || unset LD_LIBRARY_PATH"
        case $name in radv*)
            # Mesa's null device: compiles for a card that is not there.
            echo "export RADV_FORCE_FAMILY=\${RADV_FORCE_FAMILY:-navi21}" ;;
        esac
    } > "$drivers/env/$name.sh"
}

# The name of the device that a loader finds under driver NAME: by vulkaninfo, else by oedit, else
# "" (then only the libraries have been checked). Fails if a tool is there and finds none.
device_of() {
    local name=$1 oedit=$here/../build/oedit out
    case $name in radv*) return 0 ;; esac # vulkaninfo crashes on the null device
    if command -v vulkaninfo > /dev/null; then
        out=$("$here/run_with.sh" "$name" vulkaninfo --summary 2> /dev/null) || return 1
        sed -nE 's/^\s*deviceName\s*= (.*)/\1/p' <<< "$out" | head -1 | grep .
    elif [ -x "$oedit" ] && out=$("$here/run_with.sh" "$name" "$oedit" devices 2> /dev/null); then
        sed -nE '1s/^[0-9]+: *([^|]*[^| ]).*/\1/p' <<< "$out" | grep .
    fi
}

# check NAME LIBRARY: all libraries are found, and a device answers.
check() {
    local name=$1 library=$2 lost
    # shellcheck source=/dev/null
    lost=$(. "$drivers/env/$name.sh" && ldd "$library" | sed -nE 's/^\s*(\S+) => not found.*/\1/p')
    [ -z "$lost" ] || { reason="libraries not found: ${lost//$'\n'/ }"; return 1; }
    device=$(device_of "$name") || { reason="it loads, but shows no device"; return 1; }
}

# The path of file $2 somewhere under folder $1, or nothing.
find_in() {
    find "$1" -name "$2" -print -quit 2> /dev/null || true
}

# driver NAME SPEC FILES LIBRARY ROOT: unpacks where needed, writes, checks, says.
driver() {
    local name=$1 spec=$2 files=$3 wanted=$4 root=$drivers/root/$5 library manifest api try device=""
    for try in kept new; do
        reason=""
        if [ $try = new ]; then
            unpack "$root" "$spec" "$files" || break
        fi
        library=$(find_in "$root" "$wanted")
        [ -n "$library" ] || { reason="${spec%%/*} holds no $wanted"; continue; }
        manifest=$(find "$root" -name '*icd*.json' -exec grep -l "$wanted" {} + || true)
        api=$(sed -nE 's/.*"api_version": *"([0-9.]+)".*/\1/p' "${manifest:-/dev/null}")
        write_driver "$name" "$library" "${api:-1.1.0}"
        if check "$name" "$library"; then
            echo "drivers: $name ready: ${device:-loads}, ${spec%%/*} $(cat "$root/version")"
            ready=$((ready + 1))
            return
        fi
    done
    rm -f "$drivers/icd/$name.json" "$drivers/env/$name.sh"
    echo "drivers: $name skipped: $reason"
}

# The validation layer stands in the folder that SwiftShader was unpacked into.
layer() {
    local library
    library=$(find_in "$drivers/root/chromium" libVkLayer_khronos_validation.so)
    if [ -z "$library" ]; then
        rm -f "$drivers"/layer/*.json
        echo "drivers: validation layer skipped: not unpacked"
        return
    fi
    # The loader takes the version below as a promise; 1.3 is what the machine's loader speaks.
    cat > "$drivers/layer/VkLayer_khronos_validation.json" << END
{"file_format_version": "1.2.0", "layer": {
  "name": "VK_LAYER_KHRONOS_validation", "type": "GLOBAL", "library_path": "$library",
  "api_version": "1.3.239", "implementation_version": "1", "description": "Khronos validation layer",
  "instance_extensions": [
    {"name": "VK_EXT_debug_report", "spec_version": "9"},
    {"name": "VK_EXT_debug_utils", "spec_version": "1"},
    {"name": "VK_EXT_validation_features", "spec_version": "5"},
    {"name": "VK_EXT_layer_settings", "spec_version": "2"}],
  "device_extensions": [
    {"name": "VK_EXT_validation_cache", "spec_version": "1"},
    {"name": "VK_EXT_debug_marker", "spec_version": "4", "entrypoints": ["vkDebugMarkerSetObjectTagEXT",
     "vkDebugMarkerSetObjectNameEXT", "vkCmdDebugMarkerBeginEXT", "vkCmdDebugMarkerEndEXT",
     "vkCmdDebugMarkerInsertEXT"]},
    {"name": "VK_EXT_tooling_info", "spec_version": "1",
     "entrypoints": ["vkGetPhysicalDeviceToolPropertiesEXT"]}]}}
END
    echo "drivers: validation layer ready: chromium-common $(cat "$drivers/root/chromium/version")"
}

# Only what oedit uses of a browser of 100 MB.
trim_chromium() {
    local folder=$drivers/root/chromium
    [ -d "$folder" ] || return 0
    find "$folder" -type f ! -name version ! -name 'libvk_swiftshader.so' \
        ! -name 'vk_swiftshader_icd.json' ! -name 'libVkLayer_khronos_validation.so' -delete
    find "$folder" -type l -delete
    find "$folder" -type d -empty -delete
}

release=bookworm
ready=0
driver lavapipe-bookworm "mesa-vulkan-drivers/$release" all libvulkan_lvp.so mesa-bookworm
driver lavapipe-backports "mesa-vulkan-drivers/$release-backports" all libvulkan_lvp.so mesa-backports
driver radv-backports "mesa-vulkan-drivers/$release-backports" all libvulkan_radeon.so mesa-backports
driver swiftshader chromium-common only libvk_swiftshader.so chromium
trim_chromium
layer
rm -rf "$drivers/apt"
[ $ready -gt 0 ]
