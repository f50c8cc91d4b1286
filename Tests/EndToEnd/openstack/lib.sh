# Read by up, nova and down: where things are, and how a service is started and ended.
: "${OPENSTACK_RIG_STATE:=${XDG_STATE_HOME:-$HOME/.local/state}/openstack-rig}"
STATE=$OPENSTACK_RIG_STATE
# What the first `up` chose stays chosen, so that later calls need no variables.
[ ! -e "$STATE/settings" ] || . "$STATE/settings"
: "${BIND:=127.0.0.1}"
: "${KEYSTONE_PORT:=15000}" "${HEAT_PORT:=18004}" "${CFN_PORT:=18000}"
: "${RABBIT_PORT:=15673}" "${RABBIT_DIST_PORT:=25673}" "${EPMD_PORT:=14369}" "${DB_PORT:=13306}"
: "${REGION:=RegionOne}" "${TOKEN_EXPIRATION:=3600}" "${ENGINE_WORKERS:=2}" "${DURABLE_QUEUES:=false}"
mkdir -p "$STATE"/{bin,etc/keystone,etc/heat,log,run,secrets,mariadb,rabbitmq/home,keystone}
chmod 700 "$STATE/secrets"
export BIND KEYSTONE_PORT HEAT_PORT CFN_PORT RABBIT_PORT RABBIT_DIST_PORT EPMD_PORT DB_PORT OPENSTACK_RIG_STATE
# Where Debian keeps daemons; the PATH of a plain user has it not.
PATH=$PATH:/usr/sbin:/sbin
services="heat-engine heat-api-cfn heat-api keystone rabbitmq mariadb"

# Packages are installed as root: by sudo where we are not.
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -- "$@"; fi; }

t_start=${t_start:-$(date +%s)}
say() { printf '[%3ds] %s\n' "$(( $(date +%s) - t_start ))" "$*" >&2; }

# A service is its process group: the pid file holds the leader and its start time.
. "$(dirname "${BASH_SOURCE[0]}")/../../../scripts/lib/policy.sh"   # and processes.sh with it
alive() {
  local pid when
  read -r pid when 2>/dev/null <"$STATE/run/$1.pid" || return 1
  [ -n "$when" ] && [ "$(_updraft_birth "$pid")" = "$when" ]
}
start() { # start NAME COMMAND...
  local name=$1; shift
  updraft_background "$STATE/run/$name.pid" "$STATE/log/$name.log" "$@"
}
# free_port SERVICE VARIABLE: unless the service runs, nobody listens at its port: a stranger would be taken for it.
free_port() {
  local i
  ! alive "$1" || return 0
  for i in $(seq 1 25); do   # what was stopped just now may need a moment
    (exec 3<>"/dev/tcp/$BIND/${!2}") 2>/dev/null || return 0
    sleep 0.2
  done
  echo "port ${!2}, for $1, is taken by another program ($2 chooses another port, in a new OPENSTACK_RIG_STATE)" >&2
  exit 1
}
stop_service() {
  local name=$1 pid when i
  alive "$name" || { rm -f "$STATE/run/$name.pid"; return 0; }
  read -r pid when <"$STATE/run/$name.pid"
  say "stopping $name"
  if [ "$name" = rabbitmq ]; then kill -TERM "$pid" 2>/dev/null || true
  else kill -TERM -- "-$pid" 2>/dev/null || true; fi
  for i in $(seq 1 100); do alive "$name" || break; sleep 0.2; done
  kill -KILL -- "-$pid" 2>/dev/null || true
  rm -f "$STATE/run/$name.pid"
}
rabbit_env() {
  HOME=$STATE/rabbitmq/home \
  RABBITMQ_NODENAME=rig@localhost RABBITMQ_CONF_ENV_FILE=/dev/null \
  RABBITMQ_CONFIG_FILE=$STATE/etc/rabbitmq.conf RABBITMQ_ADVANCED_CONFIG_FILE=$STATE/etc/advanced.config \
  RABBITMQ_ENABLED_PLUGINS_FILE=$STATE/etc/enabled_plugins \
  RABBITMQ_MNESIA_BASE=$STATE/rabbitmq RABBITMQ_LOG_BASE=$STATE/log RABBITMQ_LOGS=- \
  RABBITMQ_DIST_PORT=$RABBIT_DIST_PORT ERL_EPMD_PORT=$EPMD_PORT ERL_EPMD_ADDRESS=127.0.0.1 \
  RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none" \
  "$@"
}
# install_packages LOG PACKAGE...: what is missing of them, without recommends and without starting their services:
# rabbitmq-server's package would start a broker of its own.
install_packages() {
  local log=$STATE/log/$1.log status=0; shift
  updraft_without_services apt_install "$log" "$@" || status=$?
  [ "$status" = 0 ] || tail -20 "$log" >&2
  return "$status"
}
apt_install() { # apt_install LOG PACKAGE...
  local log=$1; shift
  local get=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y -q --no-install-recommends "$@")
  as_root "${get[@]}" >"$log" 2>&1 ||
    { as_root apt-get -o DPkg::Lock::Timeout=600 update -q >>"$log" 2>&1; as_root "${get[@]}" >>"$log" 2>&1; }
}
missing_packages() {
  local p
  for p in "$@"; do
    dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || echo "$p"
  done
}
wait_port() { # wait_port NAME PORT [SECONDS]
  local i
  for i in $(seq 1 $(( ${3:-90} * 5 ))); do
    (exec 3<>"/dev/tcp/$BIND/$2") 2>/dev/null && return 0
    alive "$1" || break
    sleep 0.2
  done
  echo "$1 did not start; its log ends:" >&2; tail -20 "$STATE/log/$1.log" >&2; return 1
}
wait_http() { # wait_http NAME URL
  wait_port "$1" "$(echo "$2" | sed 's#.*:\([0-9]*\)/.*#\1#')"
  local i
  for i in $(seq 1 300); do
    /usr/bin/python3 - "$2" <<'PY' 2>/dev/null && return 0
import sys, urllib.request, urllib.error
try: urllib.request.urlopen(sys.argv[1], timeout=10)
except urllib.error.HTTPError as e: sys.exit(0 if e.code < 500 else 1)
PY
    sleep 0.3
  done
  echo "$1 does not answer; its log ends:" >&2; tail -20 "$STATE/log/$1.log" >&2; return 1
}
