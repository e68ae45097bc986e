# shellcheck shell=bash
# One network namespace a node, joined by a veth pair; no way out and none in. Containers get their addresses by the CNI bridge plugin of their node.

# in_netns N COMMAND...
in_netns() {
  local netns
  netns=$(node_name "$1")
  shift
  nsenter "--net=/run/netns/$netns" "$@"
}

make_netns() {
  local n=$1 netns address
  netns=$(node_name "$n")
  address=$(node_ip "$n")
  ip netns add "$netns"
  ip -n "$netns" link set lo up
  # The node's address stands on the pods' bridge because a kubelet refuses one of loopback and not every kernel has dummy devices. A fixed
  # hardware address, or the bridge takes that of each new port and the pods' ARP entries go stale.
  ip -n "$netns" link add cni0 address "$(printf '0a:58:0a:f4:%02x:01' "$n")" type bridge
  ip -n "$netns" address add "$address/24" dev cni0
  ip -n "$netns" link set cni0 up
  in_netns "$n" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
}

# The kubernetes service's address, where the API server listens itself: pods reach it without a kube-proxy.
make_network() {
  local nodes=$1 first second
  first=$(node_name 1)
  second=$(node_name 2)
  make_netns 1
  ip -n "$first" address add "$SERVICE_IP/32" dev lo
  if ((nodes == 2)); then
    make_netns 2
    ip -n "$first" link add node-2 type veth peer name node-1 netns "$second"
    ip -n "$first" address add 10.245.0.1/30 dev node-2
    ip -n "$second" address add 10.245.0.2/30 dev node-1
    ip -n "$first" link set node-2 up
    ip -n "$second" link set node-1 up
    ip -n "$first" route add 10.244.2.0/24 via 10.245.0.2 src "$(node_ip 1)"
    ip -n "$second" route add 10.244.1.0/24 via 10.245.0.1 src "$(node_ip 2)"
    ip -n "$second" route add "$SERVICE_RANGE" via 10.245.0.1 src "$(node_ip 2)"
  fi
}

write_cni() {
  local n=$1 folder
  folder=$(node_dir "$n")
  mkdir -p "$folder/cni"
  cat >"$folder/cni/bridge.conflist" <<JSON
{
  "cniVersion": "0.4.0",
  "name": "$CLUSTER",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "cni0",
      "isGateway": true,
      "ipMasq": false,
      "hairpinMode": true,
      "ipam": {
        "type": "host-local",
        "dataDir": "$folder/ipam",
        "ranges": [[{"subnet": "10.244.$n.0/24"}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    }
  ]
}
JSON
}

free_port() {
  local port
  for port in {36443..36499}; do
    if [[ -z "$(ss --no-header --listening --tcp --numeric "sport = :$port")" ]]; then
      printf '%s\n' "$port"
      return
    fi
  done
  fail "no free port between 36443 and 36499"
}

# The way in from the host: a unix socket is the same file in every network namespace.
start_front() {
  local port=$1 socket=$CLUSTER_DIR/front.sock
  start front-inside "$(node_name 1)" socat "UNIX-LISTEN:$socket,fork,mode=600" TCP:127.0.0.1:443
  start front-outside - socat "TCP-LISTEN:$port,bind=127.0.0.1,fork,reuseaddr,nodelay" "UNIX-CONNECT:$socket"
}

remove_netns() {
  local n netns
  for n in 1 2; do
    netns=$(node_name "$n")
    if [[ -e "/run/netns/$netns" ]]; then
      ip netns delete "$netns" 2>/dev/null || rm -f "/run/netns/$netns"
    fi
  done
}
