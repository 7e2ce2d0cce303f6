#!/usr/bin/env bash
# The Debian packages of a Slurm cluster, for tests/slurm; as root. `install.sh accounting` adds the database.
# Nothing is started: tests/slurm/cluster.py runs the daemons itself.
set -euo pipefail
packages=(munge slurmctld slurmd slurm-client)
if [ "${1:-}" = accounting ]; then
  packages+=(slurmdbd mariadb-server)
fi
if dpkg-query --show --showformat '${Status}\n' "${packages[@]}" 2>/dev/null | grep -vq '^install ok installed$' ||
  ! dpkg-query --show "${packages[@]}" >/dev/null 2>&1; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  # The packages would start daemons without a configuration; where systemd runs, that is refused here.
  apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "${packages[@]}"
fi
