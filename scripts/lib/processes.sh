# shellcheck shell=bash
# Processes that a program wrote down, one a line: its id, which is also its group's, and its start time. Source this file.

# Ends, with their groups, those of a file that are still the same processes. An id alone may have become a stranger's.
updraft_kill_noted() { # FILE
    local pid birth
    [ -e "$1" ] || return 0
    while read -r pid birth; do
        [ -n "${birth:-}" ] || continue
        [ "$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -d' ' -f20)" = "$birth" ] || continue
        kill -KILL -- "-$pid" 2>/dev/null || true
    done <"$1"
}
