# shellcheck shell=bash
# One node: a containerd of its own and a kubelet of its own, both in the node's network namespace.

readonly CNI_PLUGINS=/usr/lib/cni

write_containerd_config() {
  local folder=$1 cri='plugins."io.containerd.grpc.v1.cri"'
  cat >"$folder/containerd.toml" <<TOML
version = 2
root = "$folder/containerd/root"
state = "$folder/containerd/state"

[grpc]
  address = "$folder/containerd.sock"

[$cri]
  sandbox_image = "$PAUSE_IMAGE"
  # Without CAP_SYS_RESOURCE nobody may lower an oom_score_adj; a container that asks for it would not start.
  restrict_oom_score_adj = true
  disable_apparmor = true
  # Under our own folder instead of the host's /run/netns: after a kill nobody could tell whose those are.
  netns_mounts_under_state_dir = true
  [$cri.cni]
    bin_dir = "$CNI_PLUGINS"
    conf_dir = "$folder/cni"
  [$cri.containerd]
    snapshotter = "overlayfs"
    [$cri.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [$cri.containerd.runtimes.runc.options]
        SystemdCgroup = false
        Root = "$folder/runc"
TOML
}

write_kubelet_config() {
  local n=$1 folder=$2 keys=$3
  cat >"$folder/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: $keys/ca.crt}
authorization: {mode: Webhook}
tlsCertFile: $keys/node-$n-serving.crt
tlsPrivateKeyFile: $keys/node-$n-serving.key
containerRuntimeEndpoint: unix://$folder/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$CLUSTER/node-$n
# Still the rule on some build machines.
failCgroupV1: false
failSwapOn: false
# The default of -999 needs CAP_SYS_RESOURCE.
oomScoreAdj: 0
makeIPTablesUtilChains: false
resolvConf: ""
podLogsDir: $folder/pod-logs
volumePluginDir: $folder/volume-plugins
# A full disk of the developer's must not cost images that no registry can give back.
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {memory.available: 50Mi, nodefs.available: 1%, nodefs.inodesFree: 1%, imagefs.available: 1%}
YAML
}

start_containerd() {
  local n=$1 folder
  folder=$(node_dir "$n")
  mkdir -p "$folder/volumes" "$folder/pod-logs"
  write_cni "$n"
  write_containerd_config "$folder"
  start "containerd-$n" "$(node_name "$n")" containerd --config "$folder/containerd.toml"
}

start_kubelet() {
  local n=$1 servers=$2 keys=$3 folder
  folder=$(node_dir "$n")
  write_kubelet_config "$n" "$folder" "$keys"
  write_kubeconfig "$folder/kubeconfig" "https://$SERVICE_IP" "$keys" "node-$n"
  start "kubelet-$n" "$(node_name "$n")" "$servers/servers" kubelet --config "$folder/kubelet.yaml" --kubeconfig "$folder/kubeconfig" \
    --hostname-override "$(node_name "$n")" --node-ip "$(node_ip "$n")" --root-dir "$folder/kubelet"
}

containerd_answers() { ctr --address "$(node_socket "$1")" --connect-timeout 1s version; }

# import_image N ARCHIVE
import_image() {
  ctr --address "$(node_socket "$1")" --namespace k8s.io images import "$2" >/dev/null
}

# import_everywhere NODES ARCHIVE...: nodes at the same time, archives of one node one after the other.
import_everywhere() {
  local nodes=$1 n job jobs=() failed=0
  shift
  for ((n = 1; n <= nodes; n++)); do
    (
      for archive in "$@"; do
        import_image "$n" "$archive"
      done
    ) &
    jobs+=($!)
  done
  for job in "${jobs[@]}"; do
    wait "$job" || failed=1
  done
  return "$failed"
}
