#!/usr/bin/env bash
# The Debian packages of a Slurm cluster, for tests/slurm; as root. `install.sh accounting` adds the database.
# Nothing is started: tests/slurm/cluster.py runs the daemons itself.
set -euo pipefail
packages=(munge slurmctld slurmd slurm-client)
if [ "${1:-}" = accounting ]; then
  packages+=(slurmdbd mariadb-server)
fi
installed() {
  [ "$(dpkg-query --show --showformat '${Status}\n' "$1" 2>/dev/null)" = "install ok installed" ]
}
missing=()
for package in "${packages[@]}"; do
  installed "$package" || missing+=("$package")
done
if [ ${#missing[@]} = 0 ]; then
  exit 0
fi
# The packages would start their daemons; this answer of Debian's policy script forbids it while they are installed.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}"
