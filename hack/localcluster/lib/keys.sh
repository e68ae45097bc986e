# shellcheck shell=bash
# The cluster's own authority and what it signs; new with every start, since nothing else of a start's state is kept either.

new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }

# An empty configuration, or the host's adds extensions of its own (CA:TRUE on every certificate, on Debian).
sign() {
  openssl req -x509 -new -batch -days 3650 -config <(printf '[req]\ndistinguished_name = subject\n[subject]\n') "$@"
}

make_authority() {
  local folder=$1
  (umask 077 && mkdir -p "$folder")
  new_key "$folder/ca.key"
  sign -key "$folder/ca.key" -out "$folder/ca.crt" -subj "/CN=$CLUSTER" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,digitalSignature -addext subjectKeyIdentifier=hash
  new_key "$folder/service-accounts.key"
  openssl pkey -in "$folder/service-accounts.key" -pubout -out "$folder/service-accounts.pub"
}

# certificate FOLDER NAME SUBJECT [ALTERNATIVE NAMES]: with alternative names it is a server's, otherwise a client's.
certificate() {
  local folder=$1 name=$2 subject=$3 names=${4:-} extensions=(-addext extendedKeyUsage=clientAuth)
  if [[ -n "$names" ]]; then
    extensions=(-addext extendedKeyUsage=serverAuth -addext "subjectAltName=$names")
  fi
  new_key "$folder/$name.key"
  sign -key "$folder/$name.key" -out "$folder/$name.crt" -subj "$subject" -CA "$folder/ca.crt" -CAkey "$folder/ca.key" \
    -addext basicConstraints=critical,CA:FALSE -addext keyUsage=critical,digitalSignature "${extensions[@]}"
}

make_keys() {
  local folder=$1 nodes=$2 n
  make_authority "$folder"
  certificate "$folder" kube-apiserver /CN=kube-apiserver \
    "IP:127.0.0.1,IP:$SERVICE_IP,IP:$(node_ip 1),DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
  certificate "$folder" kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client
  certificate "$folder" admin /O=system:masters/CN=kubernetes-admin
  certificate "$folder" controller-manager /CN=system:kube-controller-manager
  certificate "$folder" scheduler /CN=system:kube-scheduler
  certificate "$folder" provisioner /CN=volresize-provisioner
  for ((n = 1; n <= nodes; n++)); do
    certificate "$folder" "node-$n" "/O=system:nodes/CN=system:node:$(node_name "$n")"
    certificate "$folder" "node-$n-serving" "/CN=$(node_name "$n")" "IP:$(node_ip "$n"),DNS:$(node_name "$n")"
  done
}

# write_kubeconfig FILE SERVER KEYS NAME: the keys stand in the file itself, so that it can be copied elsewhere.
write_kubeconfig() {
  local file=$1 server=$2 folder=$3 name=$4
  (
    umask 077
    cat >"$file.partial" <<YAML
apiVersion: v1
kind: Config
current-context: $CLUSTER
clusters:
  - name: $CLUSTER
    cluster:
      server: $server
      certificate-authority-data: $(base64 -w 0 "$folder/ca.crt")
users:
  - name: $name
    user:
      client-certificate-data: $(base64 -w 0 "$folder/$name.crt")
      client-key-data: $(base64 -w 0 "$folder/$name.key")
contexts:
  - name: $CLUSTER
    context:
      cluster: $CLUSTER
      user: $name
YAML
    mv "$file.partial" "$file"
  )
}
