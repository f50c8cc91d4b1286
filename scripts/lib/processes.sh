# shellcheck shell=bash
# Processes in the background that are known by a file: a line with the id, which is also the group's, and the start time
# (an id alone may have become a stranger's). Source this file.

# The start time of a process. Without another process: what follows a fork at once may use it.
_updraft_birth() {
    local stat fields
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
    # The name in brackets may hold spaces and brackets itself.
    read -ra fields <<<"${stat##*) }"
    echo "${fields[19]:-}"
}

# Runs a command in a session of its own in the background and writes it to a file. The command begins only when that is
# done, and never if whoever starts it is ended before: nothing lives that no file knows.
updraft_background() { # FILE LOG COMMAND…
    local file=$1 log=$2 me=$BASHPID child
    shift 2
    rm -f "$file"
    # shellcheck disable=SC2016
    setsid bash -c 'until [ -s "$0" ]; do kill -0 "$1" 2>/dev/null || exit 1; sleep 0.01; done; shift; exec "$@"' \
        "$file" "$me" "$@" </dev/null >>"$log" 2>&1 &
    child=$!
    echo "$child $(_updraft_birth "$child")" >"$file.new" && mv "$file.new" "$file"
    disown "$child" 2>/dev/null || true
}

# Ends, with their groups, those of a file that are still the same processes.
updraft_kill_noted() { # FILE
    local pid birth
    [ -e "$1" ] || return 0
    while read -r pid birth; do
        [ -n "${birth:-}" ] || continue
        [ "$(_updraft_birth "$pid")" = "$birth" ] || continue
        kill -KILL -- "-$pid" 2>/dev/null || true
    done <"$1"
}
