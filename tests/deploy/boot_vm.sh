#!/usr/bin/env bash
# Boot a Debian in the folder ROOT: make it the root of this process, which is the first of new namespaces (mount, process,
# host name, IPC, control group, network), and become its systemd. What belongs to the kernel and not to a namespace is
# read-only there, or systemd would set it for the whole machine.
# boot_vm.sh ROOT
set -euo pipefail
cd "$1"

mount --make-rprivate /
mount -t proc -o nosuid,nodev,noexec none proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount --bind proc/sys/net proc/sys/net # belongs to the network's namespace
mount -o remount,bind,rw proc/sys/net
cat /proc/sys/kernel/random/uuid >run.boot_id
mount --bind run.boot_id proc/sys/kernel/random/boot_id # so that the journal tells one boot from another
mount -t sysfs -o nosuid,nodev,noexec,ro none sys
mount -t cgroup2 -o nosuid,nodev,noexec none sys/fs/cgroup
mount -t tmpfs -o nosuid,nodev,mode=755 none run
mount -t tmpfs -o nosuid,mode=755 none dev
for device in null zero full random urandom tty; do
  touch dev/$device
  mount --bind /dev/$device dev/$device
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 none dev/pts
mount -t tmpfs -o mode=1777 none dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd

hostname vm
mkdir -p .before
pivot_root . .before
umount -l /.before
mount --make-rshared / # systemd does this itself, except where it finds itself in a container
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd
