# shellcheck shell=bash
# A private RabbitMQ node: free loopback ports, own state folder, own cookie, own epmd. Nothing of the system's broker is
# touched. Source this file; every function takes the state folder first and can be called by root or any user.
#
#   updraft_rabbitmq_start DIR     start (or start again) the node; DIR/transport_url then holds its URL
#   updraft_rabbitmq_stop DIR      stop it in an orderly way; the state stays in DIR
#   updraft_rabbitmq_kill DIR      end it at once, as a crash would
#   updraft_rabbitmq_running DIR   whether its process lives
#   updraft_rabbitmq_ctl DIR …     rabbitmqctl for this node
#
# UPDRAFT_RABBITMQ_USER / UPDRAFT_RABBITMQ_PASSWORD: its one user (default guest/guest).
# UPDRAFT_RABBITMQ_CONFIG: a file with more lines for rabbitmq.conf, kept for later starts.

# Debian's scripts in /usr/sbin switch to the user rabbitmq; these run as whoever calls them.
UPDRAFT_RABBITMQ_BIN=${UPDRAFT_RABBITMQ_BIN:-/usr/lib/rabbitmq/bin}

# shellcheck source=scripts/lib/policy.sh
. "$(dirname "${BASH_SOURCE[0]}")/policy.sh"
# shellcheck source=scripts/lib/packages.sh
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"

# Installs rabbitmq-server if it is missing, without starting the system's broker, now or at the next boot.
updraft_rabbitmq_install() {
    [ -x "$UPDRAFT_RABBITMQ_BIN/rabbitmq-server" ] && return 0
    updraft_can_install rabbitmq-server || return
    echo "installing rabbitmq-server" >&2
    local status=0
    updraft_without_services _updraft_rabbitmq_install >&2 || status=$?
    # Ctrl-C: no word on a failure.
    [ "$status" -lt 128 ] || return "$status"
    if [ "$status" -eq 0 ] && [ -x "$UPDRAFT_RABBITMQ_BIN/rabbitmq-server" ]; then return 0; fi
    echo "rabbitmq-server could not be installed; $(updraft_by_hand rabbitmq-server)" >&2
    return 1
}

_updraft_rabbitmq_install() {
    local sudo=()
    [ "$(id -u)" -eq 0 ] || sudo=(sudo)
    "${sudo[@]}" apt-get -o DPkg::Lock::Timeout=600 -qq update &&
        "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -qq -y \
            --no-install-recommends install rabbitmq-server
}

# Whether something listens on a loopback port.
_updraft_port_open() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# A port nobody listens on, below the range the kernel hands out for outgoing connections.
_updraft_free_port() {
    local port
    for _ in {1..200}; do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        _updraft_port_open "$port" || { echo "$port"; return 0; }
    done
    echo "no free port found" >&2
    return 1
}

# The environment that makes RabbitMQ's own scripts keep to DIR. One NAME=VALUE a line.
_updraft_rabbitmq_env() {
    local dir=$1
    cat <<ENV
HOME=$dir/home
ERL_EPMD_PORT=$(cat "$dir/port.epmd")
ERL_EPMD_ADDRESS=127.0.0.1
RABBITMQ_NODENAME=$(cat "$dir/nodename")
RABBITMQ_CONF_ENV_FILE=/dev/null
RABBITMQ_CONFIG_FILE=$dir/rabbitmq.conf
RABBITMQ_ADVANCED_CONFIG_FILE=$dir/advanced.config
RABBITMQ_ENABLED_PLUGINS_FILE=$dir/enabled_plugins
RABBITMQ_MNESIA_BASE=$dir/data
RABBITMQ_LOG_BASE=$dir/log
RABBITMQ_PID_FILE=$dir/node.pid
ERL_CRASH_DUMP=$dir/log/erl_crash.dump
RABBITMQ_DIST_PORT=$(cat "$dir/port.dist")
RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}
LANG=C.UTF-8
PATH=$PATH
ENV
}

# Runs a command with exactly that environment.
_updraft_rabbitmq_run() {
    local dir=$1 line
    shift
    local environment=()
    while IFS= read -r line; do environment+=("$line"); done < <(_updraft_rabbitmq_env "$dir")
    env -i "${environment[@]}" "$@"
}

# rabbitmqctl for the node in DIR.
updraft_rabbitmq_ctl() {
    local dir
    dir=$(realpath "$1") || return
    [ -s "$dir/nodename" ] || { echo "$dir holds no broker" >&2; return 1; }
    shift
    _updraft_rabbitmq_run "$dir" "$UPDRAFT_RABBITMQ_BIN/rabbitmqctl" "$@"
}

# The process group in a file, if it still lives: the number alone may have become somebody else's.
_updraft_alive() {
    local group birth now
    [ -s "$1" ] && read -r group birth <"$1" && kill -0 -- "-$group" 2>/dev/null || return
    now=$(_updraft_birth "$group")
    # Without its leader the group cannot have got a new one.
    [ -z "$now" ] || [ "$now" = "$birth" ]
}

updraft_rabbitmq_running() {
    _updraft_alive "$1/server.group"
}

_updraft_rabbitmq_configure() {
    local dir=$1 user=${UPDRAFT_RABBITMQ_USER:-guest} password=${UPDRAFT_RABBITMQ_PASSWORD:-guest}
    mkdir -p "$dir/home" "$dir/data" "$dir/log"
    if [ ! -s "$dir/nodename" ]; then
        echo "updraft-$$-$RANDOM@localhost" >"$dir/nodename"
        (umask 077 && head -c 24 /dev/urandom | base64 | tr -dc A-Za-z0-9 >"$dir/home/.erlang.cookie")
        chmod 400 "$dir/home/.erlang.cookie"
        (umask 077 && printf '%s\n%s\n' "$user" "$password" >"$dir/login")
    fi
    { read -r user && read -r password; } <"$dir/login"
    local name
    for name in amqp epmd dist; do
        [ -s "$dir/port.$name" ] || _updraft_free_port >"$dir/port.$name" || return
    done
    [ -z "${UPDRAFT_RABBITMQ_CONFIG:-}" ] || cp "$UPDRAFT_RABBITMQ_CONFIG" "$dir/extra.conf" || return
    (
        umask 077
        cat >"$dir/rabbitmq.conf" <<CONF
listeners.tcp.local = 127.0.0.1:$(cat "$dir/port.amqp")
default_user = $user
default_pass = $password
loopback_users.guest = true
disk_free_limit.absolute = 50MB
log.console = false
log.file.level = info
CONF
        [ ! -s "$dir/extra.conf" ] || cat "$dir/extra.conf" >>"$dir/rabbitmq.conf"
        printf '[].\n' >"$dir/advanced.config"
        printf '[].\n' >"$dir/enabled_plugins"
    )
}

# Percent-encodes everything but unreserved characters.
_updraft_encode() {
    local text=$1 out="" char i LC_ALL=C
    for ((i = 0; i < ${#text}; i++)); do
        char=${text:i:1}
        case $char in
        [A-Za-z0-9._~-]) out+=$char ;;
        *) out+=$(printf '%%%02X' "'$char") ;;
        esac
    done
    printf '%s' "$out"
}

# Waits until the node takes connections. Fails when its process ends or after two minutes.
_updraft_rabbitmq_wait() {
    local dir=$1 port deadline=$((SECONDS + 120))
    port=$(cat "$dir/port.amqp")
    until _updraft_port_open "$port"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        updraft_rabbitmq_running "$dir" || return 1
        sleep 0.1
    done
}

updraft_rabbitmq_start() {
    local dir user password
    updraft_rabbitmq_install || return
    mkdir -p "$1" && dir=$(realpath "$1") || return
    if updraft_rabbitmq_running "$dir"; then
        _updraft_rabbitmq_wait "$dir"
        return
    fi
    for _ in 1 2 3; do
        _updraft_rabbitmq_configure "$dir" || return
        rm -f "$dir/server.group" "$dir/epmd.group" "$dir/node.pid"
        updraft_background "$dir/epmd.group" "$dir/log/epmd.log" \
            env -i PATH="$PATH" HOME="$dir/home" epmd -address 127.0.0.1 -port "$(cat "$dir/port.epmd")"
        local environment=() line
        while IFS= read -r line; do environment+=("$line"); done < <(_updraft_rabbitmq_env "$dir")
        updraft_background "$dir/server.group" "$dir/log/start.log" \
            env -i "${environment[@]}" "$UPDRAFT_RABBITMQ_BIN/rabbitmq-server"
        if _updraft_rabbitmq_wait "$dir"; then
            { read -r user && read -r password; } <"$dir/login"
            (umask 077 && printf 'rabbit://%s:%s@127.0.0.1:%s/\n' "$(_updraft_encode "$user")" \
                "$(_updraft_encode "$password")" "$(cat "$dir/port.amqp")" >"$dir/transport_url")
            return 0
        fi
        updraft_rabbitmq_kill "$dir"
        # Before the first success the ports may simply have been taken by another process meanwhile: take others.
        [ -s "$dir/transport_url" ] || rm -f "$dir"/port.*
    done
    echo "RabbitMQ did not start; the end of $dir/log/start.log:" >&2
    tail -n 30 "$dir/log/start.log" >&2
    return 1
}

# Ends a process group that this script started: TERM, then KILL after some seconds.
_updraft_end_group() {
    local file=$1 seconds=$2 deadline group
    _updraft_alive "$file" || { rm -f "$file"; return 0; }
    read -r group _ <"$file"
    deadline=$((SECONDS + seconds))
    [ "$seconds" -eq 0 ] || kill -TERM -- "-$group" 2>/dev/null
    while kill -0 -- "-$group" 2>/dev/null; do
        [ "$SECONDS" -lt "$deadline" ] || kill -KILL -- "-$group" 2>/dev/null
        sleep 0.1
    done
    rm -f "$file"
}

updraft_rabbitmq_stop() {
    local dir
    dir=$(realpath "$1" 2>/dev/null) && [ -d "$dir" ] || return 0
    # TERM to the node itself is an orderly stop. (TERM to the script around it would start a second Erlang machine to
    # ask for the same.)
    if updraft_rabbitmq_running "$dir" && [ -s "$dir/node.pid" ]; then
        kill -TERM "$(cat "$dir/node.pid")" 2>/dev/null
        local deadline=$((SECONDS + 30))
        while kill -0 "$(cat "$dir/node.pid" 2>/dev/null || echo 0)" 2>/dev/null && [ "$SECONDS" -lt "$deadline" ] &&
            [ -s "$dir/node.pid" ]; do sleep 0.1; done
    fi
    _updraft_end_group "$dir/server.group" 5
    _updraft_end_group "$dir/epmd.group" 0
}

updraft_rabbitmq_kill() {
    local dir
    dir=$(realpath "$1" 2>/dev/null) && [ -d "$dir" ] || return 0
    _updraft_end_group "$dir/server.group" 0
    _updraft_end_group "$dir/epmd.group" 0
}
