#!/bin/sh
# Installs, upgrades or removes the Staybolt edge agent on a machine with Python 3.11 or newer.
#
#   install.sh                         install, or upgrade what is there, from this source tree
#   install.sh --offline WHEELHOUSE    the same without a network: a folder with the wheels of staybolt
#                                      and all it needs (make one with --wheelhouse on another machine)
#   install.sh --wheelhouse FOLDER     gather such a folder
#   install.sh --rollback              go back to the release before
#   install.sh --uninstall [--purge]   remove the program; with --purge also settings, keys and samples
#
# Each release has an environment of its own; the new one is made and tried beside the old one, which
# runs on until the link to it is switched. So an upgrade that fails changes nothing, and one that
# works costs a restart, which the agent bridges. Running this twice is running it once.
#
# Further options: --python PROGRAM (default python3), --root DIR (install into a folder that is not
# this system's root, for an image or a test: no user is made and no service is touched).
set -eu
umask 022

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
source_tree=$(CDPATH='' cd -- "$here/../.." && pwd)
root='' python=python3 wheelhouse='' act=install purge=no
user=staybolt-edge unit=staybolt-edge.service n_kept=2

fail() { printf 'install.sh: %s\n' "$1" >&2; exit 1; }
say() { printf '%s\n' "$1"; }

while [ $# -gt 0 ]; do
  case $1 in
    --offline) [ $# -gt 1 ] || fail "--offline: name the folder with the wheels"; wheelhouse=$2; shift ;;
    --wheelhouse) [ $# -gt 1 ] || fail "--wheelhouse: name a folder"; act=gather wheelhouse=$2; shift ;;
    --python) [ $# -gt 1 ] || fail "--python: name a program"; python=$2; shift ;;
    --root) [ $# -gt 1 ] || fail "--root: name a folder"; root=${2%/}; shift ;;
    --rollback) act=rollback ;;
    --uninstall) act=uninstall ;;
    --purge) purge=yes ;;
    -h | --help) sed -n '2,/^set -eu/{/^set -eu/d;s/^# \{0,1\}//;p;}' "$0"; exit 0 ;;
    *) fail "$1: unknown option; see --help" ;;
  esac
  shift
done

home=$root/opt/staybolt-edge
settings=$root/etc/staybolt-edge
state=$root/var/lib/staybolt-edge
units=$root/etc/systemd/system
link=$root/usr/local/bin/staybolt-edge

is_system() { [ -z "$root" ]; }
has_systemd() { is_system && [ -d /run/systemd/system ]; }

need_python() {
  command -v "$python" >/dev/null 2>&1 || fail "$python is not there; install Python 3.11 or newer, or name it with --python"
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$python is older than 3.11; name a newer one with --python"
}

# --- installing ------------------------------------------------------------------------------------

gather() {
  need_python
  [ -f "$source_tree/pyproject.toml" ] || fail "$source_tree is no source tree of Staybolt; run the script where it lies in one"
  mkdir -p "$wheelhouse"
  "$python" -m pip download --quiet --disable-pip-version-check --only-binary :all: --no-deps \
    --require-hashes --requirement "$source_tree/requirements/edge.txt" --dest "$wheelhouse"
  rm -f "$wheelhouse"/staybolt-*.whl
  "$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$wheelhouse" "$source_tree"
  say "$wheelhouse holds everything for: install.sh --offline $wheelhouse"
}

pip_install() { "$env/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile "$@"; }

fill() { # the environment $1
  "$python" -m venv "$1" || fail "no environment can be made; on Debian install python3-venv"
  if [ -n "$wheelhouse" ]; then
    [ -d "$wheelhouse" ] || fail "--offline: $wheelhouse is not there; make it with --wheelhouse on a machine with a network"
    wheel=$(find "$wheelhouse" -name 'staybolt-*.whl' | sort | tail -n 1)
    [ -n "$wheel" ] || fail "--offline: $wheelhouse holds no staybolt-*.whl; make it anew with --wheelhouse"
    set -- "$1" --no-index --find-links "$wheelhouse"
  else
    [ -f "$source_tree/pyproject.toml" ] || fail "this is no source tree; give --offline WHEELHOUSE"
    wheel=$source_tree
    set -- "$1"
  fi
  env=$1; shift
  if [ -f "$source_tree/requirements/edge.txt" ]; then
    pip_install "$@" --require-hashes --requirement "$source_tree/requirements/edge.txt" || fail "what the agent needs can't be installed; the release before is untouched"
    pip_install "$@" --no-deps "$wheel" || fail "the agent can't be installed; the release before is untouched"
  else
    pip_install "$@" "$wheel" || fail "the agent can't be installed; the release before is untouched"
  fi
  mkdir -p "$env/share"
  for page in edge-agent.md edge-failures.md; do
    [ ! -f "$source_tree/docs/$page" ] || cp "$source_tree/docs/$page" "$env/share/"
  done
}

try_release() { # the environment $1 before it is used: it must run, and read the settings that are there
  if is_system && ! runuser -u "$user" -- "$1/bin/python" -c ''; then
    fail "user $user may not run $python; name one that everybody may with --python, for example /usr/bin/python3. The release before is untouched"
  fi
  "$1/bin/staybolt-edge" --help >/dev/null || fail "the new release does not run; the release before is untouched"
  [ -f "$settings/edge.toml" ] || return 0
  "$1/bin/staybolt-edge" check --config "$settings/edge.toml" >"$1/check.txt" 2>&1 && return 0
  grep -q 'settings can be read' "$1/check.txt" && return 0
  cat "$1/check.txt" >&2
  fail "the new release can't read $settings/edge.toml; mend it as said above and run this again. The release before is untouched"
}

make_user() {
  is_system || return 0
  id "$user" >/dev/null 2>&1 && return 0
  useradd --system --home-dir /var/lib/staybolt-edge --no-create-home --shell /usr/sbin/nologin "$user"
}

own() { # $1 = mode, $2 = path
  chmod "$1" "$2"
  ! is_system || chown "$user:$user" "$2"
}

point_to() { # the release $1, in one step
  ln -s "$1" "$home/current.new"
  mv -T "$home/current.new" "$home/current"
}

restart() {
  has_systemd || return 0
  systemctl daemon-reload
  systemctl is-enabled --quiet $unit || return 0
  systemctl restart $unit
}

install_release() {
  need_python
  make_user
  mkdir -p "$home/releases" "$settings" "$state" "$units" "${link%/*}"
  number=$(find "$home/releases" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort -n | tail -n 1)
  number=$((${number:-0} + 1))
  new=$home/releases/$number
  trap 'rm -rf "$new" "$home/current.new"' EXIT
  fill "$new"
  try_release "$new"
  own 0700 "$state"
  own 0750 "$settings"
  if [ ! -e "$settings/edge.toml" ]; then
    "$new/bin/staybolt-edge" sample-config >"$settings/edge.toml"
    own 0640 "$settings/edge.toml"
    say "wrote $settings/edge.toml, which explains every option; adapt it"
  fi
  install -m 0644 "$here/$unit" "$units/$unit"
  before=$(readlink "$home/current" || true)
  point_to "releases/$number"
  ln -sf "/opt/staybolt-edge/current/bin/staybolt-edge" "$link"
  trap - EXIT
  if ! restart; then
    [ -z "$before" ] || { point_to "$before"; restart || true; }
    fail "the new release does not start; see journalctl -u staybolt-edge. Back to ${before:-nothing}"
  fi
  find "$home/releases" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort -n | head -n "-$n_kept" |
    while read -r old; do rm -rf "$home/releases/${old:?}"; done
  say "installed release $number in $home"
  [ -n "$before" ] || say "next: adapt $settings/edge.toml, then: staybolt-edge check --config $settings/edge.toml --connect && systemctl enable --now staybolt-edge"
}

# --- going back, and away --------------------------------------------------------------------------

rollback() {
  now=$(readlink "$home/current" || true)
  before=$(find "$home/releases" -mindepth 1 -maxdepth 1 -printf '%f\n' 2>/dev/null | sort -n | grep -vx "${now#releases/}" | tail -n 1 || true)
  [ -n "$before" ] || fail "$home holds no other release; install one"
  point_to "releases/$before"
  restart || fail "release $before does not start; see journalctl -u staybolt-edge"
  say "back to release $before"
}

uninstall() {
  if has_systemd; then systemctl disable --now $unit 2>/dev/null || true; fi
  rm -f "$units/$unit" "$link"
  rm -rf "$home"
  ! has_systemd || systemctl daemon-reload
  if [ "$purge" = yes ]; then
    rm -rf "$settings" "$state"
    if is_system && id "$user" >/dev/null 2>&1; then userdel "$user"; fi
    say "removed the agent with its settings, keys and samples"
  else
    say "removed the agent; $settings and $state are kept (--purge removes them, with samples that were not sent)"
  fi
}

if is_system && [ $act != gather ] && [ "$(id -u)" -ne 0 ]; then fail "run this as root"; fi
case $act in
  install) install_release ;;
  gather) gather ;;
  rollback) rollback ;;
  uninstall) uninstall ;;
esac
