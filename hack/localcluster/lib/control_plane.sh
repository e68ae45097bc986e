# shellcheck shell=bash
# The servers that make a cluster of nodes, all in the first node's network namespace, with what a user's cluster has switched on.

start_etcd() {
  local servers=$1
  # No fsync: the state is thrown away with the cluster, and a laptop's disk would set the pace.
  start etcd "$(node_name 1)" "$servers/servers" etcd --name default --data-dir "$CLUSTER_DIR/etcd" --log-level warn --unsafe-no-fsync \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster default=http://127.0.0.1:2380
}

start_apiserver() {
  local servers=$1 keys=$2
  start kube-apiserver "$(node_name 1)" "$servers/servers" kube-apiserver \
    --etcd-servers http://127.0.0.1:2379 \
    --bind-address 0.0.0.0 --secure-port 443 --advertise-address "$(node_ip 1)" --service-cluster-ip-range "$SERVICE_RANGE" \
    --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction --allow-privileged=true \
    --client-ca-file "$keys/ca.crt" --tls-cert-file "$keys/kube-apiserver.crt" --tls-private-key-file "$keys/kube-apiserver.key" \
    --kubelet-certificate-authority "$keys/ca.crt" --kubelet-client-certificate "$keys/kubelet-client.crt" \
    --kubelet-client-key "$keys/kubelet-client.key" --kubelet-preferred-address-types InternalIP \
    --requestheader-client-ca-file "$keys/ca.crt" --requestheader-allowed-names front-proxy-client --requestheader-username-headers X-Remote-User \
    --requestheader-group-headers X-Remote-Group --requestheader-extra-headers-prefix X-Remote-Extra- \
    --service-account-issuer https://kubernetes.default.svc.cluster.local \
    --service-account-key-file "$keys/service-accounts.pub" --service-account-signing-key-file "$keys/service-accounts.key" \
    --audit-policy-file "$HERE/audit-policy.yaml" --audit-log-path "$CLUSTER_DIR/logs/audit.log" --audit-log-maxsize 100 --audit-log-maxbackup 1
}

start_controllers() {
  local servers=$1 keys=$2 config=$CLUSTER_DIR/controller-manager.kubeconfig
  write_kubeconfig "$config" https://127.0.0.1 "$keys" controller-manager
  # The default rate makes everybody wait 5 s more for the default service account.
  start kube-controller-manager "$(node_name 1)" "$servers/servers" kube-controller-manager \
    --kubeconfig "$config" --authentication-kubeconfig "$config" --authorization-kubeconfig "$config" --bind-address 127.0.0.1 \
    --leader-elect=false --use-service-account-credentials --kube-api-qps 200 --kube-api-burst 400 \
    --service-account-private-key-file "$keys/service-accounts.key" --root-ca-file "$keys/ca.crt" \
    --cluster-signing-cert-file "$keys/ca.crt" --cluster-signing-key-file "$keys/ca.key"
}

start_scheduler() {
  local servers=$1 keys=$2 config=$CLUSTER_DIR/scheduler.kubeconfig
  write_kubeconfig "$config" https://127.0.0.1 "$keys" scheduler
  start kube-scheduler "$(node_name 1)" "$servers/servers" kube-scheduler \
    --kubeconfig "$config" --authentication-kubeconfig "$config" --authorization-kubeconfig "$config" --bind-address 127.0.0.1 --leader-elect=false
}

start_provisioner() {
  local servers=$1 keys=$2 nodes=$3 n config=$CLUSTER_DIR/provisioner.kubeconfig folders=()
  write_kubeconfig "$config" https://127.0.0.1 "$keys" provisioner
  for ((n = 1; n <= nodes; n++)); do
    folders+=(--volumes "$(node_name "$n")=$(node_dir "$n")/volumes")
  done
  start provisioner "$(node_name 1)" "$servers/servers" provisioner --kubeconfig "$config" --ready-file "$CLUSTER_DIR/provisioner.ready" "${folders[@]}"
}

server_names() {
  local nodes=$1 n
  printf '%s\n' etcd kube-apiserver kube-controller-manager kube-scheduler provisioner front-inside front-outside
  for ((n = 1; n <= nodes; n++)); do
    printf '%s\n' "containerd-$n" "kubelet-$n"
  done
}

nodes_ready() {
  local nodes=$1 ready
  ready=$(kube get nodes --output 'jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}') || return 1
  printf '%s\n' "$ready"
  [[ "$(grep -cx True <<<"$ready")" == "$nodes" ]]
}

# Everything that must be there before the first pod of a test can run.
cluster_ready() {
  local nodes=$1 names
  mapfile -t names < <(server_names "$nodes")
  all_running "${names[@]}" &&
    [[ -e "$CLUSTER_DIR/provisioner.ready" ]] &&
    kube get serviceaccount default --namespace default --output name &&
    nodes_ready "$nodes"
}
