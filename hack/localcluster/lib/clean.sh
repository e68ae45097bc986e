# shellcheck shell=bash
# Taking everything of a cluster away, in whatever state it is: running, half dead, or only its remains. Nothing is taken for ours by its number or by
# its name alone: processes by pid and start time or by our cgroup, mounts and loop devices by their folder.

# Where the machine's one cluster lives; two caches (two users, a test with a cache of its own) must not take each other's apart.
readonly OWNER_FILE=/run/$CLUSTER.owner
readonly KERNEL_SETTINGS=(vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes)

owner() { cat "$OWNER_FILE" 2>/dev/null || true; }

kill_processes() {
  local attempt pids
  for ((attempt = 0; attempt < 100; attempt++)); do
    mapfile -t pids < <({ running_pids && cgroup_pids; } | sort -un)
    if [[ ${#pids[@]} -eq 0 ]]; then
      return
    fi
    kill -KILL "${pids[@]}" 2>/dev/null || true
    sleep 0.05
  done
  fail "these processes of the cluster cannot be killed: ${pids[*]}"
}

mounts_below() {
  local folder=$1 path
  awk '{ print $5 }' /proc/self/mountinfo | while IFS= read -r path; do
    # Blanks and the like stand there as octal numbers.
    printf '%b\n' "${path//\\/\\0}"
  done | awk -v folder="$folder/" 'index($0, folder) == 1' | LC_ALL=C sort --reverse
}

unmount_below() {
  local path
  while IFS= read -r path; do
    umount "$path" 2>/dev/null || umount --lazy "$path" || true
  done < <(mounts_below "$1")
  [[ -z "$(mounts_below "$1")" ]]
}

# A volume's device goes with its mount; one is left over when its maker was killed between losetup and mount.
detach_loops() {
  local folder=$1 device file
  while read -r device file; do
    if [[ "$file" == "$folder/"* ]]; then
      losetup --detach "$device" 2>/dev/null || true
    fi
  done < <(losetup --list --noheadings --raw --output NAME,BACK-FILE)
}

# The shims' sockets lie in a folder that is shared with every containerd of the host; which ones are ours only our own state tells.
remove_shim_sockets() {
  local folder=$1 file address
  for file in "$folder"/node-*/containerd/state/io.containerd.runtime.v2.task/k8s.io/*/address; do
    if [[ -s "$file" ]]; then
      address=$(<"$file")
      rm -f "${address#unix://}"
    fi
  done
}

remove_leftovers_on_host() {
  local folder=$1 file
  find /var/log/containers -maxdepth 1 -type l -lname "$folder/*" -delete 2>/dev/null || true
  for file in /var/lib/cni/results/*; do
    # Each result names its pod's network namespace, and those lie in our folder.
    if [[ -e "$file" ]] && grep -qF "$folder/" "$file"; then
      rm -f "$file"
    fi
  done
  # A kubelet makes this one wherever its own folder is.
  if [[ -e "$folder/made-var-lib-kubelet" ]]; then
    rm -rf --one-file-system /var/lib/kubelet/device-plugins
    rmdir /var/lib/kubelet 2>/dev/null || true
  fi
}

# A kubelet sets the kernel as it likes (a panic reboots after 10 s, for example); a developer's machine gets its own settings back.
save_kernel_settings() {
  local setting
  for setting in "${KERNEL_SETTINGS[@]}"; do
    if [[ -r "/proc/sys/$setting" ]]; then
      printf '%s %s\n' "$setting" "$(<"/proc/sys/$setting")"
    fi
  done >"$CLUSTER_DIR/kernel-settings"
}

restore_kernel_settings() {
  local setting value
  [[ -e "$1/kernel-settings" ]] || return 0
  while read -r setting value; do
    echo "$value" >"/proc/sys/$setting" || say "cluster: $setting could not be set back to $value"
  done <"$1/kernel-settings"
}

retry() {
  local attempt
  for ((attempt = 0; attempt < 50; attempt++)); do
    if "$@"; then
      return
    fi
    sleep 0.1
  done
  fail "$* does not come to an end"
}

# clean FOLDER: the artefacts are not below it and stay.
clean() {
  local folder=$1
  kill_processes
  remove_shim_sockets "$folder"
  remove_leftovers_on_host "$folder"
  restore_kernel_settings "$folder"
  retry unmount_below "$folder"
  detach_loops "$folder"
  remove_netns
  retry remove_cgroups
  rm -rf --one-file-system "$folder"
  rm -f "$OWNER_FILE"
}
