#!/usr/bin/env bash
# Run deploy/vm/install twice on this machine, in a namespace in which what it writes lies in a folder of the test; then
# do what systemd would with its units, which does not run here: start the broker and the worker as they say. Both end with
# this script, which is the first process of the namespace.
# vm.sh INSTALL FOLDER PORT
set -euo pipefail
install=$1 folder=$2 port=$3

for part in etc opt usr var; do
  mkdir -p "$folder/$part/new" "$folder/$part/work"
  mount -t overlay overlay -o "lowerdir=/$part,upperdir=$folder/$part/new,workdir=$folder/$part/work" "/$part"
done
# Where systemd runs, it must hear nothing of this.
[ ! -d /run/systemd ] || mount -t tmpfs none /run/systemd
state() {
  find /etc/artdream /etc/systemd/system /etc/sysctl.d -type f -print0 | sort -z | xargs -0 sha256sum
  find /etc/artdream /etc/systemd/system /opt/artdream -maxdepth 2 -printf '%p %M %u %l\n' | sort
  cat /etc/passwd /etc/group
}

"$install" --without-gpu >"$folder/first" 2>&1
state >"$folder/after-first"
echo 'ARTDREAM_LOG=json' >>/etc/artdream/worker.env
"$install" --extra tracing --without-gpu >"$folder/second" 2>&1
tail -n 1 /etc/artdream/worker.env >"$folder/kept"
sed -i '$d' /etc/artdream/worker.env
state >"$folder/after-second"
/opt/artdream/venv/bin/python -c 'import opentelemetry.sdk; print(opentelemetry.sdk.__name__)' >"$folder/extra"
stat -c '%a %U %n' /etc/artdream/* >"$folder/rights"
cp /etc/artdream/secrets.env "$folder/secrets.env"

if command -v systemd-analyze >/dev/null; then
  systemd-analyze verify /etc/systemd/system/artdream-{valkey,worker}.service >"$folder/verified" 2>&1 ||
    echo "it ended with $?" >>"$folder/verified"
fi

[ "$port" != 0 ] || exit 0
as_artdream() { runuser -u artdream -- "$@"; }
for unit in artdream artdream-valkey; do install -d -m 750 -o artdream /var/lib/$unit; done
install -m 400 -o artdream /etc/artdream/valkey.conf "/var/lib/artdream-valkey/credential"
cd /var/lib/artdream
as_artdream /opt/artdream/valkey-server /var/lib/artdream-valkey/credential --port "$port" >"$folder/valkey.log" &
mapfile -t environment < <(
  sed -n 's/^Environment=//p' /etc/systemd/system/artdream-worker.service
  sed -n "s/6379/$port/p" /etc/artdream/secrets.env
)
artdream() { as_artdream env -i PATH=/usr/bin:/bin "${environment[@]}" /opt/artdream/venv/bin/artdream "$@"; }
artdream worker --recipe animals >"$folder/worker.log" 2>&1 &
for _ in $(seq 60); do
  artdream status >"$folder/status" 2>&1 || true
  grep -q ready "$folder/status" && break
  sleep 1
done
artdream doctor >"$folder/doctor" 2>&1 || true
cat "/proc/$(pgrep -n -u artdream valkey)/cmdline" | tr '\0' ' ' >"$folder/commands"
