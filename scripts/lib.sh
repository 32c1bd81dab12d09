# shellcheck shell=bash
# What the scripts share. Sourced: goes to the root of the repository, gives $tmp, need, need_c and skip.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
PATH=$PATH:/usr/local/go/bin:/usr/sbin:/sbin
[ -n "${HOME:-}" ] || { unset HOME && export HOME=~; } # unset, bash asks the password file

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cache=${XDG_CACHE_HOME:-$HOME/.cache}
if ! mkdir -p "$cache" 2>/dev/null || [ ! -w "$cache" ]; then
	export XDG_CACHE_HOME=$tmp/cache # a read-only home: Go and staticcheck need some place
fi
if ! mkdir -p "$(go env GOMODCACHE)" 2>/dev/null; then
	GOFLAGS="$(go env GOFLAGS) -modcacherw"
	export GOFLAGS GOMODCACHE=$tmp/mod
fi

skips=0
# skip WHAT names something that was left out.
skip() {
	echo "skipped: $*"
	skips=$((skips + 1))
}

# end_of_skips fails in CI when something was left out.
end_of_skips() {
	if [ "${CI:-}" = true ] && [ "$skips" -gt 0 ]; then
		echo "$0: $skips skipped, which CI=true does not allow" >&2
		exit 1
	fi
}

# need COMMAND PACKAGE finds COMMAND, or installs it from Debian where it may, or skips it.
need() {
	command -v "$1" >/dev/null && return
	install_for "$1" "$2"
	command -v "$1" >/dev/null || skip "$1: not found (Debian package $2)"
}

# need_c finds a C compiler that works, or installs one as need does. It fails, and skips the race detector, without one.
need_c() {
	compiles_c && return
	install_for 'the race detector' gcc libc6-dev
	compiles_c && return
	skip 'the race detector: no C compiler (Debian packages gcc and libc6-dev)'
	return 1
}

# compiles_c reports whether the C compiler that Go would take is there, with its headers.
compiles_c() {
	local cc
	cc=$(go env CC)
	# shellcheck disable=SC2086 # CC may carry flags
	echo '#include <stdlib.h>' | $cc -x c -c -o "$tmp/cc.o" - 2>/dev/null
}

# install_for WHAT PACKAGE... installs Debian packages that WHAT requires, if root and apt-get are here.
install_for() {
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then return; fi
	echo "installing ${*:2} (for $1)"
	if [ ! -e "$tmp/updated" ]; then
		touch "$tmp/updated"
		apt update || true
	fi
	apt install -y --no-install-recommends "${@:2}" || true
	hash -r
}

apt() {
	DEBIAN_FRONTEND=noninteractive timeout 300 apt-get -o Acquire::Retries=1 -o Acquire::http::Timeout=30 "$@" >/dev/null
}

# tool NAME ARGS runs a tool pinned in scripts/tools/go.mod.
tool() {
	go tool -modfile=scripts/tools/go.mod "$@"
}

# files lists what is or may become committed, deleted files aside.
files() {
	{ git ls-files -co --exclude-standard 2>/dev/null || find . -type f -not -path './.git/*' | cut -c3-; } |
		while IFS= read -r f; do if [ -f "$f" ]; then printf '%s\n' "$f"; fi; done
}
