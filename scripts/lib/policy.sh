# shellcheck shell=bash
# Installing packages whose services must not start. Source this file.
#
#   updraft_without_services COMMAND…   runs COMMAND while /usr/sbin/policy-rc.d forbids packages to start anything;
#                                       a broker that it made the machine start from now on is switched off, and said
#
# That file is taken away afterwards, also by Ctrl-C. One that a killed run left is known by its second line and taken
# away; somebody else's is left as it is.

_updraft_policy_mark='# Written by Updraft for one installation, by process'

# shellcheck source=scripts/lib/processes.sh
. "$(dirname "${BASH_SOURCE[0]}")/processes.sh"

# What listens, comes with the packages that are installed here, and is started with the machine once it is enabled.
_updraft_listeners=(epmd.service epmd.socket iscsid.socket open-iscsi.service rabbitmq-server.service)

# Those of them that are enabled.
_updraft_enabled() {
    local unit
    for unit in "${_updraft_listeners[@]}"; do
        [ -z "$(_updraft_wants "$unit")" ] || echo "$unit"
    done
}

# The links by which a unit is enabled. systemctl is not everywhere.
_updraft_wants() { find "${UPDRAFT_UNITS:-/etc/systemd/system}" -path "*.wants/$1" 2>/dev/null; }

# In a subshell, so that its traps are its own.
updraft_without_services() (
    policy=${UPDRAFT_POLICY_FILE:-/usr/sbin/policy-rc.d}
    sudo=()
    [ "$(id -u)" -eq 0 ] || [ -w "$(dirname "$policy")" ] || sudo=(sudo)
    me=$BASHPID
    mine="$_updraft_policy_mark $me $(_updraft_birth "$me")"
    # Whose it is, if it is ours: process and start time.
    owner() { sed -n "2s/^$_updraft_policy_mark \([0-9]* [0-9]*\)\$/\1/p" "$policy" 2>/dev/null; }
    written='' enabled='' looked=''
    cleanup() {
        local status=$? unit new=() links=()
        trap '' INT TERM HUP
        # A package's broker would else listen on all addresses from the next boot on.
        [ -z "$looked" ] || mapfile -t new < <(LC_ALL=C comm -13 <(printf '%s\n' "$enabled") <(_updraft_enabled))
        for unit in "${new[@]}"; do
            mapfile -t links < <(_updraft_wants "$unit")
            "${sudo[@]}" rm -f "${links[@]}"
        done
        [ ${#new[@]} -eq 0 ] || echo "installed, but not started with the machine: ${new[*]}" >&2
        if [ -n "$written" ] && [ "$(owner)" = "${mine#"$_updraft_policy_mark "}" ]; then "${sudo[@]}" rm -f "$policy"; fi
        exit "$status"
    }
    trap cleanup EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    # Another run may be installing just now; what a dead one left goes.
    for ((waited = 0; ; waited++)); do
        read -r pid birth < <(owner) || true
        [ -n "${pid:-}" ] || break
        if [ "$(_updraft_birth "$pid")" != "$birth" ]; then
            "${sudo[@]}" rm -f "$policy"
            break
        fi
        [ "$waited" -lt 900 ] || { echo "process $pid installs packages for more than 15 minutes; $policy is its" >&2; exit 1; }
        sleep 1
    done
    # Also where somebody's own rule on starting services stands, which is left alone.
    enabled=$(_updraft_enabled)
    looked=yes
    if [ ! -e "$policy" ]; then
        written=yes
        printf '#!/bin/sh\n%s\nexit 101\n' "$mine" | "${sudo[@]}" tee "$policy" >/dev/null || exit
        "${sudo[@]}" chmod 755 "$policy" || exit
    fi
    status=0
    "$@" || status=$?
    exit "$status"
)
