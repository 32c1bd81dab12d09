# shellcheck shell=bash
# The parts of scripts/release --check share these functions. They run at the root of the repository, with these variables:
# $version, $dist (the release), $tmp (removed at the end). Their arguments are the FLAGS of the release.

: "${version:?}" "${dist:?}" "${tmp:?}"

# shellcheck disable=SC2034 # the parts use it
host=$(go env GOOS)_$(go env GOARCH)
# shellcheck disable=SC2034
releases=$XDG_CACHE_HOME/idem-release

# same WANT GOT WHAT fails unless WANT is GOT.
same() {
	[ "$1" = "$2" ] || { printf '%s:\n--- want\n%s\n--- got\n%s\n' "$3" "$1" "$2" && exit 1; }
}

# works IDEM... checks that the command IDEM... runs a key and replays it. The ledger is the one that it finds.
works() {
	local key=works-$RANDOM$RANDOM
	same hello "$("$@" run --key "$key" -- echo hello)" 'the first call'
	same hello "$("$@" run -q --key "$key" -- echo hello)" 'the replay'
	same '1 executed' "$("$@" show --json "$key" | jq -r '"\(.attempts | length) executed"')" 'the attempts'
}

# knows IDEM... checks that the command IDEM... tells its version and commit.
knows() {
	same "$version $(git rev-parse HEAD) false" "$("$@" version --json | jq -r '"\(.version) \(.commit) \(.dirty)"')" 'the version'
}

# confined COMMAND runs a command of this host that can write only below $tmp. A package that it unpacks at the wrong place is
# an error, and does not change this host. It needs root.
confined() {
	# shellcheck disable=SC2016 # the shell that it starts expands it
	TMPDIR=$tmp unshare --mount sh -euc '
		for d in / /usr /etc /opt /var; do
			if [ "$d" != / ]; then mount --bind "$d" "$d"; fi
			mount -o remount,bind,ro "$d"
			[ ! -w "$d" ]
		done
		mount --bind "$0" "$0"
		mount -o remount,bind,rw "$0"
		exec "$@"' "$tmp" "$@"
}
