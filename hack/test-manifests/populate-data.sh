#!/usr/bin/env bash
# Fills the volumes of every replica of test-sts with what copies like to lose, beside the journal that the application goes on writing: about 320 MiB
# on data (it fits on 500Mi, but not if the hole of the sparse file were filled), 20 MiB on logs. Safe to run again: what it made before is replaced.
#
#   populate-data.sh [-n NAMESPACE] [STATEFULSET]    FILES=10000  small files (in hundreds)    MIB=256  large ones, altogether
#
# Extended attributes need Python: they are set where the pod has the container of tools-container.yaml, and it says where not.
set -euo pipefail

readonly FILES=${FILES:-10000} MIB=${MIB:-256}

say() { printf '%s\n' "$*" >&2; }

usage() {
  sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2
  exit 2
}

# Runs in the pod's busybox, which has neither bash nor setfattr.
fill() {
  cat <<'SH'
pod=$1 namespace=$2 files=$3 mib=$4
random() { head -c "$1" /dev/urandom; }

rm -rf /data/populated /logs/populated
mkdir -p /data/populated/small /data/populated/odd /logs/populated
cd /data/populated

# By a hundred a folder, of sizes below, at and above a block.
folder=0
while [ $((folder * 100)) -lt "$files" ]; do
  mkdir "small/$folder"
  size=$((1000 + 61 * (folder % 100)))
  random $((size * 75)) | base64 -w "$size" | awk -v folder="small/$folder/" '{ file = folder "f-" NR; print >file; close(file) }'
  folder=$((folder + 1))
done
for part in 1 2 3 4; do
  random $((mib * 262144)) >"large-$part"
done

cd odd
random 100000 >linked
ln linked link-1
ln linked ../small/link-2
# 1 MiB of data behind 600 MiB of nothing.
random 1048576 | dd of=sparse bs=1M seek=600 conv=notrunc 2>/dev/null
ln -s linked symlink
ln -s /nowhere/at/all dangling
mkfifo fifo
: >empty
mkdir 'empty folder'
echo x >'a name
of two lines'
echo x >"$(printf 'not \377 UTF-8')"
echo x >-n
echo x >foreign
chown 1234:5678 foreign
chmod 4751 foreign
mkdir shared
chown 1234:5678 shared
chmod 3770 shared
echo x >old
touch -d '1999-12-31 23:59:59' old
echo x >secret
chmod 000 secret

random 20000000 >/logs/populated/rotated
for volume in data logs; do
  echo "$volume of $namespace/$pod" >"/$volume/populated/marker"
done
sync
SH
}

attributes() {
  cat <<'PYTHON'
import os
import struct

os.chdir("/data/populated/odd")
os.setxattr("linked", "user.origin", b"\x00binary\xff")
os.setxattr("shared", "user.empty", b"")
# cap_net_bind_service, permitted and effective, in the form of revision 2
os.setxattr("foreign", "security.capability", struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0))
# user::rw- user:1234:r-- group::r-- mask::r-- other::---
entries = [(1, 6, 0xFFFFFFFF), (2, 4, 1234), (4, 4, 0xFFFFFFFF), (16, 4, 0xFFFFFFFF), (32, 0, 0xFFFFFFFF)]
os.setxattr("old", "system.posix_acl_access", struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries))
os.sync()
PYTHON
}

populate() {
  local namespace=$1 pod=$2 containers
  fill | kubectl exec -n "$namespace" "$pod" -c app -i -- sh -eus -- "$pod" "$namespace" "$FILES" "$MIB"
  containers=$(kubectl get pod -n "$namespace" "$pod" -o 'jsonpath={.spec.containers[*].name}')
  if [[ " $containers " == *' tools '* ]]; then
    attributes | kubectl exec -n "$namespace" "$pod" -c tools -i -- python3 -
  else
    say "populate: $pod has no container named tools, so its files get no extended attributes"
  fi
  say "populate: $pod: $(kubectl exec -n "$namespace" "$pod" -c app -- df -m /data /logs | awk 'NR > 1 { printf "%s %s of %s MiB  ", $6, $3, $2 }')"
}

main() {
  local namespace='' statefulset pod job jobs=() pods
  while getopts n: option; do
    case $option in
      n) namespace=$OPTARG ;;
      *) usage ;;
    esac
  done
  shift $((OPTIND - 1))
  [[ $# -le 1 ]] || usage
  statefulset=${1:-test-sts}
  namespace=${namespace:-$(kubectl config view --minify -o 'jsonpath={.contexts[0].context.namespace}')}
  namespace=${namespace:-default}

  kubectl rollout status "statefulset/$statefulset" -n "$namespace" --timeout 120s >/dev/null
  pods=$(kubectl get pods -n "$namespace" -l "app=$statefulset" -o name)
  for pod in $pods; do
    populate "$namespace" "${pod#pod/}" &
    jobs+=($!)
  done
  for job in "${jobs[@]}"; do
    wait "$job"
  done
}

main "$@"
