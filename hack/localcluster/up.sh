#!/usr/bin/env bash
# A real Kubernetes cluster on this machine, without Docker. Safe to run at any time: a healthy cluster of the same make stays, anything else is replaced.
#
#   NODES=1|2   how many nodes (default 2)
set -euo pipefail

# shellcheck source=/dev/null
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

readonly NODES=${NODES:-2}

check_machine() {
  need_root
  [[ "$NODES" == 1 || "$NODES" == 2 ]] || fail "NODES is $NODES, it can be 1 or 2"
  # Sockets below the folder; their paths may have 107 bytes.
  [[ ${#CLUSTER_DIR} -le 62 ]] || fail "$CLUSTER_DIR is too long a path for sockets below it; set VOLRESIZE_CACHE to a shorter one (up to 54 characters)"
  [[ ! -e /var/lib/kubelet/config.yaml ]] || fail "this machine is a node of a cluster already (/var/lib/kubelet/config.yaml); two kubelets would share its device plugins"
  command -v kubectl >/dev/null || fail "kubectl is not on PATH"
  "$HERE/../need-packages.sh" containerd runc containernetworking-plugins socat busybox-static e2fsprogs iproute2 util-linux openssl python3
}

give_way() {
  local other
  other=$(owner)
  if [[ -n "$other" && "$other" != "$CLUSTER_DIR" && -n "$(cgroup_pids)" ]]; then
    fail "a cluster of another cache is running: VOLRESIZE_CACHE='$(dirname "$other")' hack/localcluster/down.sh first"
  fi
  if [[ -n "$other" && "$other" != "$CLUSTER_DIR" ]]; then
    clean "$other"
  fi
}

healthy() {
  local stamp=$1
  [[ -e "$CLUSTER_DIR/stamp" && "$(<"$CLUSTER_DIR/stamp")" == "$stamp" ]] && cluster_ready "$NODES" >/dev/null 2>&1
}

prepare() {
  local keys=$1 port=$2
  mkdir -p "$CLUSTER_DIR"
  printf '%s\n' "$CLUSTER_DIR" >"$OWNER_FILE"
  if [[ ! -e /var/lib/kubelet ]]; then
    touch "$CLUSTER_DIR/made-var-lib-kubelet"
  fi
  save_kernel_settings
  make_cgroups "$NODES"
  make_network "$NODES"
  make_keys "$keys" "$NODES"
  write_kubeconfig "$KUBECONFIG_PATH" "https://127.0.0.1:$port" "$keys" admin
}

boot_cluster() {
  local servers=$1 images=$2 keys=$CLUSTER_DIR/keys port n importing
  port=$(free_port)
  prepare "$keys" "$port"
  start_etcd "$servers"
  start_apiserver "$servers" "$keys"
  start_front "$port"
  for ((n = 1; n <= NODES; n++)); do
    start_containerd "$n"
  done
  for ((n = 1; n <= NODES; n++)); do
    wait_for 30 "containerd of node $n" containerd_answers "$n"
  done
  import_everywhere "$NODES" "$images/pause.tar" "$images/busybox.tar" &
  importing=$!
  # Before that the other servers are told "forbidden" and wait long before they ask again.
  wait_for 60 "the API server" kube get --raw /readyz
  start_controllers "$servers" "$keys"
  start_scheduler "$servers" "$keys"
  for ((n = 1; n <= NODES; n++)); do
    start_kubelet "$n" "$servers" "$keys"
  done
  kube create --validate=false --filename "$HERE/manifests" >/dev/null
  start_provisioner "$servers" "$keys" "$NODES"
  wait "$importing" || fail "the images could not be imported"
  wait_for 60 "the cluster" cluster_ready "$NODES"
}

main() {
  local servers images stamp
  check_machine
  lock_cache
  mkdir -p "$ARTEFACTS"
  servers=$ARTEFACTS/servers-$(servers_key)
  images=$ARTEFACTS/node-images-$(images_key "$servers")
  stamp="$(cluster_key "$servers" "$images") NODES=$NODES"
  if healthy "$stamp"; then
    say "cluster: already running, $NODES node(s)"
  else
    give_way
    make_servers "$servers"
    make_images "$images" "$servers"
    clean "$CLUSTER_DIR"
    boot_cluster "$servers" "$images"
    printf '%s\n' "$stamp" >"$CLUSTER_DIR/stamp"
    say "cluster: up with $NODES node(s), Kubernetes $(sed -n 's#^\tk8s.io/kubernetes ##p' "$HERE/go.mod"), after $SECONDS s"
  fi
  printf 'export KUBECONFIG=%q\n' "$KUBECONFIG_PATH"
}

main "$@"
