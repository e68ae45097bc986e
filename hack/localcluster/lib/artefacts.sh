# shellcheck shell=bash
# What is made once and kept: the servers' binary and the images that every node needs. Named after what they are made of, written whole or not at all.

readonly KEEP_ARTEFACTS=3

digest() { sha256sum | cut -c 1-12; }

# Files by name and content, wherever the checkout lies.
hash_files() { (cd "$HERE" && find . -type f "$@" | LC_ALL=C sort | xargs -d '\n' sha256sum); }

servers_key() {
  command -v go >/dev/null || fail "no Go compiler found (see hack/localcluster/README.md)"
  { hash_files '(' -name go.mod -o -name go.sum -o -name '*.go' ! -name '*_test.go' ')' && go version; } | digest
}

images_key() {
  local servers=$1
  { hash_files -name oci_archive.py && printf '%s\n' "$servers" && sha256sum </bin/busybox; } | digest
}

# The running cluster also depends on how it was started.
cluster_key() {
  local servers=$1 images=$2
  { hash_files '(' -name '*.sh' -o -name '*.yaml' ')' && printf '%s %s\n' "$servers" "$images"; } | digest
}

make_servers() {
  local folder=$1
  if [[ ! -d "$folder" ]]; then
    say "cluster: compiling Kubernetes, once (about 6 minutes with an empty Go cache)"
    "$HERE/build.sh" "$folder" >&2
    forget_old servers
  fi
  touch "$folder"
}

make_images() {
  local folder=$1 servers=$2 root
  if [[ ! -d "$folder" ]]; then
    rm -rf "$folder.partial"
    root=$folder.partial/root
    mkdir -p "$root/pause" "$root/busybox"
    cp "$servers/pause" "$root/pause/pause"
    python3 "$HERE/oci_archive.py" "$root/pause" "$folder.partial/pause.tar" "$PAUSE_IMAGE" /pause
    busybox_root "$root/busybox"
    python3 "$HERE/oci_archive.py" "$root/busybox" "$folder.partial/busybox.tar" "$BUSYBOX_IMAGE" sh
    rm -rf "$root"
    mv "$folder.partial" "$folder"
    forget_old node-images
  fi
  touch "$folder"
}

busybox_root() {
  local root=$1 applet
  mkdir -p "$root"/{bin,dev,etc,home,proc,root,sys,tmp,usr/bin,var}
  chmod 1777 "$root/tmp"
  for applet in $(busybox --list); do
    ln -s busybox "$root/bin/$applet"
  done
  # After the links and not before: the list names busybox itself.
  rm -f "$root/bin/busybox"
  cp /bin/busybox "$root/bin/busybox"
  ln -s ../../bin/env "$root/usr/bin/env"
  printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n' >"$root/etc/passwd"
  printf 'root:x:0:\nnobody:x:65534:\n' >"$root/etc/group"
}

forget_old() {
  local folder
  while IFS= read -r folder; do
    rm -rf "$folder"
  done < <(find "$ARTEFACTS" -maxdepth 1 -type d -name "$1-*" ! -name '*.partial' -printf '%T@ %p\n' | sort -rn | tail -n +$((KEEP_ARTEFACTS + 1)) | cut -d ' ' -f 2-)
}
