#!/usr/bin/env bash
# Lets something of the running cluster fail, and come back: what tests do to a migration that is under way.
#
#   fault.sh kubelet N pause|kill|start
#   fault.sh apiserver pause|kill|start
#   fault.sh node N kill|start                     kubelet, containerd and all that runs in pods; their volumes stay
#
# `pause` is SIGSTOP: connections stay open, and nobody answers. `kill` is SIGKILL. `start` ends either, and does nothing to what runs.
set -euo pipefail

# shellcheck source=/dev/null
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2
  exit 2
}

# pid_of SERVER
pid_of() {
  running "$CLUSTER_DIR/pids/$1" || fail "$1 does not run"
  cut -d ' ' -f 1 "$CLUSTER_DIR/pids/$1"
}

# Where the running servers were started from: the checkout may have changed since, and would name others.
servers_folder() {
  local pid
  pid=$(pid_of etcd)
  dirname "$(readlink "/proc/$pid/exe")"
}

is_down() { ! running "$CLUSTER_DIR/pids/$1"; }

kill_server() {
  local name=$1
  if ! is_down "$name"; then
    kill -KILL "$(pid_of "$name")"
    wait_for 10 "the end of $name" is_down "$name"
  fi
}

# Shims stay in the cgroup of the servers, and only their command line tells whose they are.
processes_of_node() {
  local n=$1 pid cgroup
  while IFS= read -r cgroup; do
    find "$cgroup/node-$n" -name cgroup.procs -exec cat {} + 2>/dev/null || true
  done < <(our_cgroups)
  while IFS= read -r pid; do
    if tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$(node_socket "$n")"; then
      printf '%s\n' "$pid"
    fi
  done < <(cgroup_pids)
}

node_is_dead() {
  local pid pids=()
  while IFS= read -r pid; do
    # What only waits to be reaped runs no more.
    if started_at "$pid" >/dev/null; then
      pids+=("$pid")
    fi
  done < <(processes_of_node "$1" | sort -un)
  [[ ${#pids[@]} -eq 0 ]] && return
  kill -KILL "${pids[@]}" 2>/dev/null || true
  printf 'still running: %s\n' "${pids[*]}"
  return 1
}

kill_node() {
  local n=$1
  # Before the pods: neither must have the time to report what happens.
  kill_server "kubelet-$n"
  kill_server "containerd-$n"
  wait_for 20 "the end of node $n" node_is_dead "$n"
}

# bring_back NAME COMMAND...: by that command, unless it only pauses.
bring_back() {
  local name=$1
  shift
  if is_down "$name"; then
    "$@"
  else
    kill -CONT "$(pid_of "$name")"
  fi
}

start_node() {
  local n=$1
  bring_back "containerd-$n" start_containerd "$n"
  wait_for 30 "containerd of node $n" containerd_answers "$n"
  start_server "kubelet-$n"
}

# start_server NAME: with the arguments that it had, since they come from the same functions.
start_server() {
  local name=$1 servers keys=$CLUSTER_DIR/keys
  servers=$(servers_folder)
  case "$name" in
    kubelet-*) bring_back "$name" start_kubelet "${name#kubelet-}" "$servers" "$keys" ;;
    kube-apiserver)
      bring_back "$name" start_apiserver "$servers" "$keys"
      wait_for 60 "the API server" kube get --raw /readyz
      ;;
  esac
}

fault() {
  local name=$1 verb=$2
  case "$verb" in
    pause) kill -STOP "$(pid_of "$name")" ;;
    kill) kill_server "$name" ;;
    start) start_server "$name" ;;
    *) usage ;;
  esac
}

main() {
  need_root
  lock_cache
  [[ -e "$CLUSTER_DIR/stamp" ]] || fail "no cluster of hack/localcluster is up"
  case "$*" in
    'kubelet '[12]' '*) fault "kubelet-$2" "$3" ;;
    'apiserver '*) fault kube-apiserver "$2" ;;
    'node '[12]' kill') kill_node "$2" ;;
    'node '[12]' start') start_node "$2" ;;
    *) usage ;;
  esac
}

main "$@"
