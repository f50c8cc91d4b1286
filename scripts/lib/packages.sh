# shellcheck shell=bash
# Debian packages that building, testing and the demo need (Debian 12, Ubuntu 24.04). Source this file.
#
#   updraft_install_packages [NAME…]   installs what is missing of the usual ones and of NAME…; says which

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

updraft_install_packages() {
    local missing=() sudo=()
    command -v dpkg-query >/dev/null || {
        echo "this is no Debian or Ubuntu; needed are, under whatever names: ${UPDRAFT_PACKAGES[*]} $*" >&2
        return 0
    }
    mapfile -t missing < <(updraft_missing_packages "${UPDRAFT_PACKAGES[@]}" "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$(id -u)" -eq 0 ] || sudo=(sudo)
    echo "installing ${missing[*]}" >&2
    local install=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -qq -y --no-install-recommends install)
    # Package lists may be missing or old on a bare machine; they are fetched only if it does not work without.
    "${sudo[@]}" "${install[@]}" "${missing[@]}" >/dev/null 2>&1 && return 0
    "${sudo[@]}" apt-get -o DPkg::Lock::Timeout=600 -qq update >&2 || return
    "${sudo[@]}" "${install[@]}" "${missing[@]}" >&2
}

# Puts a Swift toolchain, 6.2 or newer, first in PATH or says that there is none. (OpenStack's client installs a program that is
# also called swift.)
updraft_find_swift() {
    local folder
    for folder in "" "${SWIFT_TOOLCHAIN:-}/usr/bin" /opt/swift/usr/bin /usr/share/swift/usr/bin "$HOME/.local/share/swiftly/bin"; do
        if [ -n "$folder" ]; then
            [ -x "$folder/swift" ] || continue
            PATH=$folder:$PATH
        fi
        if swift --version 2>/dev/null | grep -qE 'Swift version (6\.([2-9]|[1-9][0-9])|[7-9]|[1-9][0-9])'; then
            export PATH
            return 0
        fi
    done
    echo "no Swift toolchain of version 6.2 or newer found: install one from https://www.swift.org/install/linux/ and put it into PATH" >&2
    return 1
}
