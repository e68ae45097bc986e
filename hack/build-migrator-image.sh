#!/usr/bin/env bash
# Builds mauricethomas/volmig from this checkout and loads it into the cluster of hack/cluster.sh. The last line of stdout is the tag by content,
# which no other code can ever bear; everything else goes to stderr. An unchanged tree builds nothing. What is in the image stands in job-image/.
#
#   PUSH=true      push both tags to the registry         OUT=FILE.tar   write an archive, for clusters without a registry
#   LOAD=false     leave the cluster alone                BASE=IMAGE     build on this image (default: Docker: python:3.12-slim-bookworm,
#                                                                        without Docker: a Debian made by debootstrap)
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${VOLRESIZE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kubectl-volresize}
readonly ROOT CACHE
readonly ARTEFACTS=$CACHE/artefacts
readonly REPOSITORY=docker.io/mauricethomas/volmig
# What the image is made of; README and tests are not, so that they do not make a new one.
readonly INPUTS=(job-image kubectl_volresize templates setup.cfg pyproject.toml LICENSE)
# One per recent code state: going back and forth between two commits builds nothing, a month of work does not fill the disk.
readonly KEEP=3
# Layers of the cache that no image names any more; above this many all of them go, and the next build takes 20 s instead of 5.
readonly KEEP_UNNAMED=40

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "error: $*"
  exit 1
}

digest() { sha256sum | cut -c 1-12; }

# ---------------------------------------------------------------------------------------------------------------------------- the builder
has_docker() { command -v docker >/dev/null && docker info >/dev/null 2>&1; }

# Storage and run directory of our own: nothing of the host's images is touched, and a kill leaves nothing behind elsewhere.
in_buildah() {
  local storage=$CACHE/buildah
  buildah --root "$storage/$DRIVER" --runroot "$RUNTIME/run" --storage-driver "$DRIVER" "$@"
}

storage_driver() {
  # overlay is the fast one, but cannot live on every file system (on another overlay, for example).
  if DRIVER=overlay in_buildah info >/dev/null 2>&1; then
    printf 'overlay\n'
  else
    printf 'vfs\n'
  fi
}

# --------------------------------------------------------------------------------------------------------------------------- the keys
# The tree as it is at this moment: hashed and built are the same bytes, even while somebody saves a file.
snapshot() {
  local context=$1
  mkdir -p "$context"
  tar --create --directory "$ROOT" --exclude=__pycache__ --exclude='*.pyc' --exclude='*.egg-info' --exclude='.*' --mode='u=rwX,go=rX' \
    "${INPUTS[@]}" | tar --extract --directory "$context" --no-same-owner
}

tree_key() {
  local context=$1 base_key=$2
  (
    cd "$context"
    find . -type f -printf '%m %p\0' | LC_ALL=C sort --zero-terminated --key=2 | tr '\0' '\n'
    find . -type f -print0 | LC_ALL=C sort --zero-terminated | xargs --null sha256sum
    printf '%s %s\n' "$base_key" "$(uname -m)"
  ) | digest
}

base_key() {
  if [[ -n "${BASE:-}" ]]; then
    printf '%s\n' "$BASE" | digest
  elif has_docker; then
    sed -n 's/^ARG BASE=//p' "$ROOT/job-image/Dockerfile" | digest
  else
    { cat "$ROOT/job-image/base.sh" && uname -m; } | digest
  fi
}

# ------------------------------------------------------------------------------------------------------------------------ the build
# The host's certificates and index, for the build alone. Everything else of its pip settings, find-links above all, names paths of the host.
secrets() {
  local bundle=${PIP_CERT:-${SSL_CERT_FILE:-${REQUESTS_CA_BUNDLE:-${CURL_CA_BUNDLE:-}}}}
  if [[ -n "$bundle" && -r "$bundle" ]]; then
    printf '%s\n' --secret "id=volresize-ca,src=$bundle"
  fi
  if [[ -n "${PIP_INDEX_URL:-}" ]]; then
    (umask 077 && printf '%s' "$PIP_INDEX_URL" >"$RUNTIME/index")
    printf '%s\n' --secret "id=volresize-index,src=$RUNTIME/index"
  fi
}

proxies() {
  local name
  for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    if [[ -n "${!name:-}" ]]; then
      printf '%s\n' --build-arg "$name"
    fi
  done
}

build_with_docker() {
  local context=$1 archive=$2 arguments
  shift 2
  mapfile -t arguments < <(secrets && proxies)
  if [[ -n "${BASE:-}" ]]; then
    arguments+=(--build-arg "BASE=$BASE")
  fi
  DOCKER_BUILDKIT=1 docker build --file "$context/job-image/Dockerfile" "${arguments[@]}" --tag "$1" --tag "$2" "$context" >&2
  docker save --output "$archive" "$1" "$2"
}

import_base() {
  local folder=$1 name=$2 part container
  for part in builder runtime; do
    if in_buildah inspect --type image "$name-$part" >/dev/null 2>&1; then
      continue
    fi
    container=$(in_buildah from scratch)
    in_buildah add --quiet "$container" "$folder/$part.tar" / >/dev/null
    in_buildah commit --quiet "$container" "$name-$part" >/dev/null
    in_buildah rm "$container" >/dev/null
  done
}

debian_base() {
  local key=$1 folder=$ARTEFACTS/base-$1
  if [[ ! -e "$folder/runtime.tar" ]]; then
    "$ROOT/hack/need-packages.sh" debootstrap debian-archive-keyring
    "$ROOT/job-image/base.sh" "$folder" >&2
  fi
  import_base "$folder" "localhost/volresize-base:$key"
}

build_with_buildah() {
  local context=$1 archive=$2 arguments base_arguments base
  shift 2
  mapfile -t arguments < <(secrets && proxies)
  # Working containers of a build that was killed; we hold the lock, so they are nobody's.
  in_buildah rm --all >/dev/null
  if [[ -n "${BASE:-}" ]]; then
    base_arguments=(--build-arg "BASE=$BASE")
  else
    base=$(base_key)
    debian_base "$base"
    base_arguments=(--build-arg "BASE=localhost/volresize-base:$base-runtime" --build-arg "BUILDER=localhost/volresize-base:$base-builder")
  fi
  in_buildah bud --isolation chroot --layers --file "$context/job-image/Dockerfile" "${base_arguments[@]}" "${arguments[@]}" --tag "$1" "$context" >&2
  in_buildah push --quiet "$1" "docker-archive:$archive.unnamed:$1" >&2
  python3 "$context/job-image/name_archive.py" "$archive.unnamed" "$archive" "$1" "$2"
  rm "$archive.unnamed"
}

build() {
  local key=$1 context=$2 dev=$3 release=$4 folder=$ARTEFACTS/image-$1
  mkdir -p "$folder.partial"
  rm -f "$folder.partial"/*
  if has_docker; then
    build_with_docker "$context" "$folder.partial/image.tar" "$dev" "$release"
  else
    build_with_buildah "$context" "$folder.partial/image.tar" "$dev" "$release"
  fi
  printf '%s\n' "$dev" >"$folder.partial/tag"
  # Whole or not at all: a build that was killed must never be taken for a finished one.
  rm -rf "$folder"
  mv "$folder.partial" "$folder"
}

forget_old_layers() {
  local unnamed
  unnamed=$(in_buildah images --filter dangling=true --quiet | wc -l)
  if ((unnamed > KEEP_UNNAMED)); then
    in_buildah rmi --prune --force >/dev/null
  fi
}

forget_old_builds() {
  local folder
  while IFS= read -r folder; do
    if ! has_docker; then
      in_buildah rmi "$(<"$folder/tag")" >/dev/null 2>&1 || say "image: $(<"$folder/tag") is not in the builder's storage any more"
    fi
    rm -rf "$folder"
  done < <(find "$ARTEFACTS" -maxdepth 1 -name 'image-*' ! -name '*.partial' -printf '%T@ %p\n' | sort -rn | tail -n +$((KEEP + 1)) | cut -d ' ' -f 2-)
}

# ------------------------------------------------------------------------------------------------------------------------- what comes after
push() {
  local archive=$1 reference
  shift
  for reference in "$@"; do
    say "image: pushing $reference"
    # From the archive and not from the builder's storage, which may have been emptied since.
    if has_docker; then
      docker load --quiet --input "$archive" >&2
      docker push "$reference" >&2
    else
      in_buildah pull --quiet "docker-archive:$archive:$reference" >&2
      in_buildah push "$reference" "docker://$reference" >&2
    fi
  done
}

load() {
  local archive=$1 kubeconfig
  if [[ ! -x "$ROOT/hack/cluster.sh" ]]; then
    say "image: hack/cluster.sh is not here; nothing loaded"
    return
  fi
  kubeconfig=$("$ROOT/hack/cluster.sh" kubeconfig) || kubeconfig=
  if [[ -z "$kubeconfig" || ! -e "${kubeconfig%%:*}" ]]; then
    say "image: no cluster is up; nothing loaded (hack/cluster.sh up, then this script again)"
    return
  fi
  "$ROOT/hack/cluster.sh" load "$archive" >&2
}

main() {
  local version key context dev release archive
  mkdir -p "$ARTEFACTS"
  RUNTIME=$(mktemp -d)
  # --one-file-system: after a kill in the middle, something of the host may still be mounted below.
  trap 'rm -rf --one-file-system "$RUNTIME"' EXIT
  exec {lock}>"$ARTEFACTS/.image.lock"
  flock "$lock"

  if ! has_docker; then
    "$ROOT/hack/need-packages.sh" buildah
    DRIVER=$(storage_driver)
  fi
  version=$(sed -n 's/^VERSION = "\(.*\)"$/\1/p' "$ROOT/kubectl_volresize/version.py")
  context=$RUNTIME/context
  snapshot "$context"
  key=$(tree_key "$context" "$(base_key)")
  dev=$REPOSITORY:dev-$key
  release=$REPOSITORY:$version
  archive=$ARTEFACTS/image-$key/image.tar
  if [[ -e "$archive" ]]; then
    say "image: unchanged, $dev is there"
    touch "$ARTEFACTS/image-$key"
  else
    build "$key" "$context" "$dev" "$release"
    forget_old_builds
    has_docker || forget_old_layers
    say "image: built $dev, also named $release ($(du -h "$archive" | cut -f 1))"
  fi
  if [[ -n "${OUT:-}" ]]; then
    cp "$archive" "$OUT"
    say "image: written to $OUT"
  fi
  if [[ "${PUSH:-false}" == true ]]; then
    push "$archive" "$dev" "$release"
  fi
  # Released before the cluster is touched: a process that outlives us must not inherit the lock.
  exec {lock}>&-
  if [[ "${LOAD:-true}" != false ]]; then
    load "$archive"
  fi
  # Without the registry's name, as the CR and `submit --image` know it; containerd and Docker put docker.io/ in front by themselves.
  printf '%s\n' "${dev#docker.io/}"
}

main "$@"
