# shellcheck shell=bash
# Packages that building, testing and the demo need, under the names of Debian 12 and Ubuntu 24.04. Source this file.
#
#   updraft_install_packages [NAME…]   installs what is missing of the usual ones and of NAME…; says which
#   updraft_find_swift                 puts a Swift toolchain first in PATH
#   updraft_check_disk GIGABYTES DIR   says it if there is less room for what is to be built

# What these scripts start listens on this machine: a proxy for the outside must not be asked for it.
no_proxy=${no_proxy:-${NO_PROXY:-}}
[ "$no_proxy" = '*' ] || no_proxy=localhost,127.0.0.1,::1${no_proxy:+,$no_proxy}
NO_PROXY=$no_proxy
export no_proxy NO_PROXY

# What `swift build` links, and what the scripts call.
UPDRAFT_PACKAGES=(
    librabbitmq-dev libcurl4-openssl-dev libssl-dev libyaml-dev libmicrohttpd-dev libgnutls28-dev pkg-config
    openssl python3 util-linux
)

# Names of the given packages that are not installed, one a line.
updraft_missing_packages() {
    local package
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
    done
}

# What somebody with the right to do it has to type.
updraft_by_hand() { # NAME…
    echo "as root: apt-get install --no-install-recommends $*"
}

# Whether packages can be installed at all: by root, or with sudo.
updraft_can_install() { # NAME…
    [ "$(id -u)" -ne 0 ] || return 0
    command -v sudo >/dev/null && return 0
    echo "not root, and there is no sudo; $(updraft_by_hand "$@")" >&2
    return 1
}

updraft_install_packages() {
    local missing=() sudo=()
    command -v dpkg-query >/dev/null || {
        echo "this is no Debian or Ubuntu; needed are, under whatever names: ${UPDRAFT_PACKAGES[*]} $*" >&2
        return 0
    }
    mapfile -t missing < <(updraft_missing_packages "${UPDRAFT_PACKAGES[@]}" "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    updraft_can_install "${missing[@]}" || return
    [ "$(id -u)" -eq 0 ] || sudo=(sudo)
    echo "installing ${missing[*]}" >&2
    local install=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -qq -y --no-install-recommends install)
    # Package lists may be missing or old on a bare machine; they are fetched only if it does not work without.
    "${sudo[@]}" "${install[@]}" "${missing[@]}" >/dev/null 2>&1 && return 0
    "${sudo[@]}" apt-get -o DPkg::Lock::Timeout=600 -qq update >&2 &&
        "${sudo[@]}" "${install[@]}" "${missing[@]}" >&2 && return 0
    echo "packages could not be installed; $(updraft_by_hand "${missing[@]}")" >&2
    return 1
}

# Puts a Swift toolchain, 6.2 or newer, first in PATH or says that there is none. (OpenStack's client installs a program that is
# also called swift.)
updraft_find_swift() {
    local folder found=none
    # HOME is not set everywhere: in units of systemd it is not.
    for folder in "" "${SWIFT_TOOLCHAIN:-}/usr/bin" /opt/swift/usr/bin /usr/share/swift/usr/bin \
        "${HOME:-/nonexistent}/.local/share/swiftly/bin"; do
        if [ -n "$folder" ]; then
            [ -x "$folder/swift" ] || continue
            PATH=$folder:$PATH
        fi
        if [[ $(swift --version 2>/dev/null) =~ Swift\ version\ (6\.([2-9]|[1-9][0-9])|[7-9]|[1-9][0-9]) ]]; then
            export PATH
            return 0
        fi
    done
    if command -v swift >/dev/null; then
        found="$(command -v swift), $(swift --version 2>&1 </dev/null | sed -n '1s/^\(.\{0,100\}\).*/\1/p' || true)"
    fi
    echo "no Swift toolchain of version 6.2 or newer found: install one from https://www.swift.org/install/linux/ and put it into PATH (swift in PATH is: $found)" >&2
    return 1
}

# A compiler that finds no room says so after minutes.
updraft_check_disk() { # GIGABYTES DIR
    local blocks size free
    read -r blocks size < <(stat -f -c '%a %S' "$2" 2>/dev/null) || return 0
    free=$((blocks * size / 1000000000))
    [ "$free" -ge "$1" ] || echo "only $free GB are free in $2; what is built there may need $1 GB" >&2
}
