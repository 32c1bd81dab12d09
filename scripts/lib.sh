# shellcheck shell=bash
# The functions and variables that the scripts share. A script sources this file, which changes to the root of the
# repository.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
PATH=$PATH:/usr/local/go/bin:/usr/sbin:/sbin
[ -n "${HOME:-}" ] || { unset HOME && export HOME=~; } # if HOME is unset, ~ comes from the password file

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cache=${XDG_CACHE_HOME:-$HOME/.cache}
if ! mkdir -p "$cache" 2>/dev/null || [ ! -w "$cache" ]; then
	export XDG_CACHE_HOME=$tmp/cache # Go and staticcheck need a cache, but the home is read-only
fi
if ! mkdir -p "$(go env GOMODCACHE)" 2>/dev/null; then
	GOFLAGS="$(go env GOFLAGS) -modcacherw"
	export GOFLAGS GOMODCACHE=$tmp/mod
fi

skips=0
# skip TEXT reports a skipped part.
skip() {
	echo "skipped: $*"
	skips=$((skips + 1))
}

# end_of_skips exits with 1 in CI if a part was skipped.
end_of_skips() {
	if [ "${CI:-}" = true ] && [ "$skips" -gt 0 ]; then
		echo "$0: $skips skipped, which CI=true does not allow" >&2
		exit 1
	fi
}

# need COMMAND PACKAGE checks for COMMAND. If it is missing, need installs the Debian package if it can, or calls skip.
need() {
	command -v "$1" >/dev/null && return
	install_for "$1" "$2"
	command -v "$1" >/dev/null || skip "$1: not found (Debian package $2)"
}

# need_unpacked COMMAND PACKAGE is need for a package that would start a service when it is installed. It is only unpacked.
need_unpacked() {
	command -v "$1" >/dev/null && return
	if command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then
		echo "unpacking $2 (for $1)"
		mkdir -p "$tmp/unpacked"
		if [ "$(id -u)" = 0 ] && [ ! -e "$tmp/updated" ]; then
			touch "$tmp/updated"
			apt update || true
		fi
		(cd "$tmp/unpacked" && apt download "$2" && dpkg-deb -x "$2"_*.deb .) || true
		PATH=$PATH:$tmp/unpacked/usr/bin:$tmp/unpacked/usr/sbin
		hash -r
	fi
	command -v "$1" >/dev/null || skip "$1: not found (Debian package $2)"
}

# need_postgres checks for a PostgreSQL server, whose programs Debian keeps out of PATH, and installs it as need does.
need_postgres() {
	has_postgres && return
	install_for postgres postgresql-common
	# The package postgresql would make a cluster and start its server.
	local conf=/etc/postgresql-common/createcluster.conf
	[ ! -w "$conf" ] || echo 'create_main_cluster = false' >>"$conf"
	install_for postgres postgresql
	has_postgres || skip 'postgres: not found (Debian package postgresql)'
}

has_postgres() {
	command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null
}

# need_npm DIR checks for node, and installs the tools that are pinned in DIR. Those of scripts/tools/web test pages in a
# browser, and those of scripts/tools/forges run a pipeline of GitLab.
need_npm() {
	need node nodejs
	need npm npm
	local dir=$1
	if [ ! "$dir/node_modules/.package-lock.json" -nt "$dir/package-lock.json" ]; then
		echo "installing the tools of $dir"
		npm ci --prefix "$dir" --no-audit --no-fund --ignore-scripts >/dev/null || skip "$dir: npm ci failed"
	fi
}

# need_sshd checks for a server of ssh and the library of its package, and unpacks the server as need_unpacked does.
need_sshd() {
	command -v sshd >/dev/null && return
	compgen -G '/usr/lib/*/libwrap.so.0' >/dev/null || install_for sshd libwrap0
	need_unpacked sshd openssh-server
}

# need_c checks for a working C compiler, and installs one as need does. Without one it skips the race detector and fails.
need_c() {
	compiles_c && return
	install_for 'the race detector' gcc libc6-dev
	compiles_c && return
	skip 'the race detector: no C compiler (Debian packages gcc and libc6-dev)'
	return 1
}

# compiles_c reports whether the C compiler that Go uses works and finds its headers.
compiles_c() {
	local cc
	cc=$(go env CC)
	# shellcheck disable=SC2086 # CC may carry flags
	echo '#include <stdlib.h>' | $cc -x c -c -o "$tmp/cc.o" - 2>/dev/null
}

# install_for NAME PACKAGE... installs the Debian packages that NAME requires. Without root or apt-get it does nothing.
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

# files lists the files that are in the repository or may be added to it.
files() {
	{ git ls-files -co --exclude-standard 2>/dev/null || find . -type f -not -path './.git/*' | cut -c3-; } |
		while IFS= read -r f; do if [ -f "$f" ]; then printf '%s\n' "$f"; fi; done
}
