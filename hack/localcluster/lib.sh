# shellcheck shell=bash
# What every script of this folder shares: names, places, and the few verbs that belong to no concern. Each concern has its file in lib/.
# shellcheck disable=SC2034 # most names are used in those files

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly HERE
# Network namespaces, cgroups and the CNI network bear this name, so that what is ours can be told on sight, also after everything was killed.
readonly CLUSTER=volresize-test
readonly CACHE=${VOLRESIZE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kubectl-volresize}
readonly ARTEFACTS=$CACHE/artefacts
readonly CLUSTER_DIR=$CACHE/cluster
readonly KUBECONFIG_PATH=$CLUSTER_DIR/kubeconfig

readonly PAUSE_IMAGE=localhost/volresize-pause:1
# What manifests call busybox:1.36.
readonly BUSYBOX_IMAGE=docker.io/library/busybox:1.36

readonly SERVICE_IP=10.96.0.1
readonly SERVICE_RANGE=10.96.0.0/16

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "error: $*"
  exit 1
}

node_name() { printf '%s-%s\n' "$CLUSTER" "$1"; }
node_dir() { printf '%s/node-%s\n' "$CLUSTER_DIR" "$1"; }
node_ip() { printf '10.244.%s.1\n' "$1"; }
node_socket() { printf '%s/node-%s/containerd.sock\n' "$CLUSTER_DIR" "$1"; }

kube() { kubectl --kubeconfig "$KUBECONFIG_PATH" --request-timeout 10s "$@"; }

# wait_for SECONDS WHAT COMMAND...: until the command succeeds; its output is shown only when time is up.
wait_for() {
  local seconds=$1 what=$2 deadline output
  shift 2
  deadline=$((SECONDS + seconds))
  until output=$("$@" 2>&1); do
    if ((SECONDS >= deadline)); then
      fail "$what: not after $seconds s; the logs are in $CLUSTER_DIR/logs
$output"
    fi
    sleep 0.1
  done
}

# Two starters wait for each other; the lock lies beside the cluster's folder because that folder is removed under it.
lock_cache() {
  mkdir -p "$CACHE"
  exec {LOCK}>"$CACHE/.cluster.lock"
  flock --nonblock "$LOCK" || {
    say "cluster: another start or stop is under way, waiting for it"
    flock "$LOCK"
  }
}

need_root() {
  [[ $EUID -eq 0 ]] || fail "a cluster without Docker needs root (mounts, network namespaces, cgroups)"
}

for concern in process cgroups network artefacts keys node control_plane clean; do
  # shellcheck source=/dev/null
  source "$HERE/lib/$concern.sh"
done
unset concern
