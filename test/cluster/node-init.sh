#!/bin/sh
# PID 1 of one node: gives its namespaces a root of their own, says `ready`, and reaps until its standard input closes.
# Called by node.ts, already inside new mount, pid, net, uts, ipc and cgroup namespaces:
#   node-init.sh ROOT NAME TOOLS CGROUP...     (a CGROUP is `v2`, or FOLDER:OPTIONS of one v1 hierarchy)
# With NODE_INIT=systemd it becomes systemd instead (systemd-node.ts), whose units are in ROOT/etc/systemd/system.
set -eu
root=$1 name=$2 tools=$3
shift 3

readonly_bind() {
  mount --bind "$1" "$2"
  mount -o remount,bind,ro "$2"
}

mount --make-rprivate /
hostname "$name"
mount --bind "$root" "$root"
for d in usr bin sbin lib lib32 lib64 libx32; do
  # Debian's /bin is a link into /usr, and a copy of that link is in the root already.
  if [ -d "/$d" ] && [ ! -L "/$d" ]; then readonly_bind "/$d" "$root/$d"; fi
done
readonly_bind "$tools" "$root/opt/kube"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm" "$root/dev/mqueue"
for d in null zero full random urandom tty kmsg; do
  : >"$root/dev/$d"
  mount --bind "/dev/$d" "$root/dev/$d"
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t mqueue mqueue "$root/dev/mqueue"

if [ "$1" = v2 ]; then
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
else
  mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
  for c; do
    mkdir "$root/sys/fs/cgroup/${c%%:*}"
    mount -t cgroup -o "${c#*:}" cgroup "$root/sys/fs/cgroup/${c%%:*}"
  done
fi

# The kubelet sets these for the whole machine, unless they have these values: so it sees them here, and the machine
# keeps its own.
sysctl_looks() {
  if [ -e "$root/proc/sys/$1" ]; then
    echo "$2" >"$root/run/sysctl-$(echo "$1" | tr / -)"
    mount --bind "$root/run/sysctl-$(echo "$1" | tr / -)" "$root/proc/sys/$1"
  fi
}
sysctl_looks vm/overcommit_memory 1
sysctl_looks vm/panic_on_oom 0
sysctl_looks kernel/panic 10
sysctl_looks kernel/panic_on_oops 1
sysctl_looks kernel/keys/root_maxkeys 1000000
sysctl_looks kernel/keys/root_maxbytes 25000000

cd "$root"
mkdir -p .old
pivot_root . .old
cd /
umount -l /.old
rmdir /.old
# The kubelet's mounts are to be seen in containers (mountPropagation).
mount --make-rshared /
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
echo ready
if [ "${NODE_INIT:-}" = systemd ]; then
  # systemd then leaves alone what belongs to the machine: clock, modules, kernel settings, devices.
  exec env -i container=other PATH="$PATH" /lib/systemd/systemd --system --unit=node.target
fi
cat >/dev/null
