#!/usr/bin/env bash
# Tries the README's two commands as a new user would: fresh clone of what is committed, empty npm cache, a PATH without
# PostgreSQL and Docker, in a checkout that other users cannot read, and afterwards looks for what was left behind.
#   test/fresh-machine.sh [demo|test|all]      as root it tries as root and as nobody, else as the user who calls it
set -euo pipefail
what=${1:-all}
repo=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 711 "$work"

mkdir "$work/bin"
for program in /usr/local/bin/* /usr/bin/* /bin/*; do
  case ${program##*/} in
  psql | postgres* | initdb | pg_* | pgb* | pgpool* | createdb | dropdb | createuser | dropuser | vacuumdb | docker*) ;;
  *) [ -e "$work/bin/${program##*/}" ] || ln -s "$program" "$work/bin/" ;;
  esac
done

# Directories and servers of a cluster that nobody watches any more; those of other people's clusters are watched.
leftovers() {
  local path
  {
    ls -d "${TMPDIR:-/tmp}"/pgweir-?????? /dev/shm/pgweir-?????? 2>/dev/null
    pgrep -af 'postgres -D .*/pgweir-......' | grep -o '/[^ ]*/pgweir-......' || true
  } | sort -u | while read -r path; do
    pgrep -f "pgweir-watchdog .*$path" >/dev/null || echo "$path"
  done
}

# run NAME COMMAND [PREFIX...]: in a home of its own, that only its owner may enter.
run() {
  local name=$1 command=$2 home="$work/$1" status=0
  shift 2
  mkdir -m 700 "$home"
  git clone -q "file://$repo" "$home/pgweir"
  [ $# -eq 0 ] || chown -R nobody: "$home"
  printf '\n== %s: %s\n' "$name" "$command"
  (cd "$home/pgweir" && env -i HOME="$home" PATH="$work/bin" npm_config_cache="$home/npm-cache" \
    ${NODE_EXTRA_CA_CERTS+NODE_EXTRA_CA_CERTS="$NODE_EXTRA_CA_CERTS"} ${https_proxy+https_proxy="$https_proxy"} \
    "$@" bash -c "$command") || status=$?
  sleep 1
  if [ -n "$(leftovers)" ]; then
    echo "left behind:" && leftovers
    status=1
  fi
  printf '== %s: exit %s\n' "$name" "$status"
  rm -rf "$home"
  return "$status"
}

failures=0
for command in demo test; do
  [ "$what" = all ] || [ "$what" = "$command" ] || continue
  line="npm ci && npm $([ "$command" = demo ] && echo 'run demo -- --once' || echo test)"
  run "$(id -un)-$command" "$line" || failures=$((failures + 1))
  [ "$(id -u)" -ne 0 ] || run "nobody-$command" "$line" setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups || failures=$((failures + 1))
done
exit "$((failures > 0))"
