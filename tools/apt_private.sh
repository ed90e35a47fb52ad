# shellcheck shell=bash
# Sourced. apt with lists, cache and sources of its own, so that suites the machine does not use
# can be read without changing anything outside one folder. Needs no root.

APT_PRIVATE="" # the folder, set by apt_private_open

# apt_private COMMAND...: apt-get (or "cache ...", apt-cache) on the private folder.
apt_private() {
    local tool=apt-get
    if [ "$1" = cache ]; then
        tool=apt-cache
        shift
    fi
    # One user and no lock: the folder is ours alone, and may lie where user _apt cannot look.
    "$tool" -q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$APT_PRIVATE/sources" \
        -o Dir::State::lists="$APT_PRIVATE/lists" -o Dir::Cache="$APT_PRIVATE/cache" \
        -o Dir::State::extended_states="$APT_PRIVATE/extended_states" \
        -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=1 "$@"
}

# The machine's own Debian sources (those with component main) of release $1, with `deb-src` in
# place of or beside `deb` when $2 is source, and of suite $1-backports too when $2 is backports.
# Written anew from both formats: one-line lists and deb822.
apt_private_sources() {
    local release=$1 what=$2 file
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -f "$file" ] || continue
        awk -v release="$release" -v what="$what" '
            # deb [options] URI suite components...; options may hold blanks
            $1 == "deb" {
                suite = ($2 ~ /^\[/) ? 0 : 3
                for (i = 2; !suite && i <= NF; i++) if ($i ~ /\]$/) suite = i + 2
                main = 0
                for (i = suite + 1; i <= NF; i++) if ($i == "main") main = 1
                if (!main || $suite !~ "^(" release "|stable)(-updates|-security|/updates)?$") next
                print
                if (what == "source") { sub(/^deb/, "deb-src"); print }
                if (what == "backports" && $suite ~ "^(" release "|stable)$") {
                    $suite = $suite "-backports"
                    print
                }
            }' "$file"
    done > "$APT_PRIVATE/sources/own.list"
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -f "$file" ] || continue
        awk -v release="$release" -v what="$what" '
            BEGIN { RS = ""; FS = "\n" }
            # value of a field, its continuation lines joined
            function field(name,    i, value, inside) {
                for (i = 1; i <= NF; i++) {
                    if ($i ~ /^[ \t]/) { if (inside) value = value " " $i; continue }
                    inside = (tolower($i) ~ "^" name ":")
                    if (inside) { value = $i; sub(/^[^:]*:/, "", value) }
                }
                return " " value " "
            }
            function stanza(types, suites,    i, inside) {
                for (i = 1; i <= NF; i++) {
                    if ($i ~ /^#/) continue
                    if ($i !~ /^[ \t]/) inside = (tolower($i) ~ /^(types|suites|enabled):/)
                    if (!inside) print $i
                }
                print "Types: " types "\nSuites: " suites "\n"
            }
            {
                if (tolower(field("enabled")) ~ / no /) next
                if (field("types") !~ /[ \t]deb[ \t]/ || field("components") !~ /[ \t]main[ \t]/) next
                count = split(field("suites"), suite, /[ \t]+/)
                kept = more = ""
                for (i = 1; i <= count; i++) {
                    if (suite[i] !~ "^(" release "|stable)(-updates|-security|/updates)?$") continue
                    kept = kept " " suite[i]
                    if (suite[i] ~ "^(" release "|stable)$") more = more " " suite[i] "-backports"
                }
                if (kept == "") next
                stanza(what == "source" ? "deb deb-src" : "deb", kept)
                if (what == "backports" && more != "") stanza("deb", more)
            }' "$file"
    done > "$APT_PRIVATE/sources/own.sources"
    [ -s "$APT_PRIVATE/sources/own.list" ] || [ -s "$APT_PRIVATE/sources/own.sources" ]
}

# apt_private_open FOLDER source|backports: makes the folder and reads the lists.
apt_private_open() {
    local release
    APT_PRIVATE=$1
    command -v apt-get > /dev/null || { echo "no apt here" >&2; return 1; }
    # shellcheck source=/dev/null
    release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    mkdir -p "$APT_PRIVATE"/{sources,lists/partial,cache/archives/partial}
    apt_private_sources "${release:-bookworm}" "$2" || { echo "no Debian apt source found" >&2; return 1; }
    # The machine's own lists save a download; apt checks whether they are current.
    find /var/lib/apt/lists -maxdepth 1 -type f -name '*_*' -readable \
        -exec cp -np -t "$APT_PRIVATE/lists" {} + 2> /dev/null || true
    apt_private update > "$APT_PRIVATE/update.log" 2>&1 || {
        echo "apt-get update failed: $(grep -m1 '^[EW]:' "$APT_PRIVATE/update.log")" >&2
        return 1
    }
}
