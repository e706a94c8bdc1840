#!/usr/bin/env bash
# Installs the drivers of `npm run test:drivers` that do not come with `npm ci`, from Debian's (or Ubuntu's) own packages.
# Needs root; may be run again at any time, and then only says what is there. It removes and configures nothing.
#   test/drivers/set-up.sh             installs what is missing
#   test/drivers/set-up.sh --list      only says what it would install
set -euo pipefail

packages=(
  python3-psycopg2 python3-psycopg python3-psycopg-pool python3-asyncpg # psycopg2, psycopg 3 with its pool, asyncpg
  libpostgresql-jdbc-java default-jdk-headless                          # pgjdbc, and a JDK that runs its program from source
  libdbd-pg-perl                                                        # DBD::Pg
  ruby ruby-pg                                                          # ruby-pg, and the pipeline mode of libpq through it
  php-cli php-pgsql                                                     # PDO
  postgresql-client                                                     # psql, and libpq below most of the above
)

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

missing=()
for package in "${packages[@]}"; do
  installed "$package" || missing+=("$package")
done

if [ ${#missing[@]} -gt 0 ]; then
  echo "missing: ${missing[*]}"
  [ "${1:-}" = --list ] && exit
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
fi
dpkg-query -W -f '${Package} ${Version}\n' "${packages[@]}"
