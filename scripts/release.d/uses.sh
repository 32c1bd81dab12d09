# shellcheck shell=bash
# The life of a package in an empty system. A part defines install FILE and remove, and calls life.

: "${tmp:?}" "${releases:?}"
root=$tmp/root-${0##*/}-$$

# new_root makes the empty system: a minimal Debian, which is kept in the cache.
new_root() {
	local suite keep=$releases/debian mirror
	# shellcheck source=/dev/null
	suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
	if [ ! -d "$keep-$suite" ]; then
		mkdir -p "$releases"
		rm -rf "$keep.part"
		# shellcheck disable=SC2016 # apt-get expands it
		mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)
		debootstrap --variant=minbase --include=bash-completion,man-db "$suite" "$keep.part" "$mirror"
		mv "$keep.part" "$keep-$suite"
	fi
	cp -a "$keep-$suite" "$root"
}

# in_root COMMAND runs a command in the system, as its root. The mount of /proc ends with the command.
in_root() {
	# shellcheck disable=SC2016 # the shell that it starts expands it
	env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 unshare --mount \
		sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"' "$root" "$@"
}

# made_before PATTERN prints the path of a package of the commit before. Its version is lower.
made_before() {
	if [ ! -d "$tmp/before/dist" ]; then
		git clone -q . "$tmp/before"
		git -C "$tmp/before" checkout -q HEAD~1 2>/dev/null || true # a shallow clone has one commit
		go -C "$tmp/before" mod download
		env -u IDEM_RELEASE_KEY -C "$tmp/before" "$tmp/release" --here 0.0.1 >&2
	fi
	compgen -G "$tmp/before/dist/$1"
}

# states prints the keys of the ledger and their states.
states() { in_root idem list --json | jq -r '.[] | "\(.key) \(.state)"' | LC_ALL=C sort; }

# ledger prints the sum of each file of the ledger.
ledger() { find "$root/var/lib/idem" -type f -exec sha256sum {} + | LC_ALL=C sort -k 2; }

# life OLD NEW installs a package, upgrades it while a command runs, uses it and removes it.
life() {
	install "$1"
	in_root idem run --key success -- echo hello
	# shellcheck disable=SC2016 # the shell in the system expands it
	in_root idem run --key interrupted -- sh -c 'kill -9 "$PPID"' || true
	# shellcheck disable=SC2016
	local slow=(sh -c 'touch /tmp/runs; until [ -e /tmp/stop ]; do sleep 0.1; done; echo ran')
	in_root idem run --key running -- "${slow[@]}" >"$tmp/ran" &
	local running=$!
	trap 'touch "$root/tmp/stop" && wait' EXIT # also if a check fails
	until [ -e "$root/tmp/runs" ]; do
		kill -0 "$running" || { echo 'the command to upgrade under has not started' && exit 1; }
		sleep 0.1
	done
	local keys=$'interrupted interrupted\nrunning running\nsuccess succeeded'
	same "$keys" "$(states)" 'the keys before the upgrade'

	install "$2"
	same "$keys" "$(states)" 'the keys after the upgrade'
	knows in_root idem
	knows in_root idem-postgres
	same hello "$(in_root idem run -q --key success -- echo hello)" 'a replay after the upgrade'
	local status=0
	in_root idem run --key running -- "${slow[@]}" || status=$?
	same 75 "$status" 'the status of a second call of the running key'
	touch "$root/tmp/stop"
	wait "$running"
	same ran "$(cat "$tmp/ran")" 'the output of the command that ran during the upgrade'
	keys=${keys/running running/running succeeded}
	same "$keys" "$(states)" 'the keys after the end of the command'
	works in_root idem

	if [ -n "$(find "$root/usr/share/man" -name 'idem.1*')" ]; then
		same /usr/share/man/man1/idem.1.gz "$(in_root man -w idem)" 'the man page'
		in_root man -P cat idem >"$tmp/page" # the whole page: a pipe that grep closes is an error of man
		grep -q '^NAME' "$tmp/page" || { echo 'man cannot show idem.1' && exit 1; }
	fi
	# shellcheck disable=SC2016
	same 'interrupted' "$(in_root bash -c '
		. /usr/share/bash-completion/bash_completion
		_completion_loader idem || true
		COMP_LINE="idem show inter" COMP_WORDS=(idem show inter) COMP_CWORD=2 COMP_POINT=15 COMP_TYPE=9
		"$(complete -p idem | sed "s/.* -F \([^ ]*\) .*/\1/")" idem inter show
		printf "%s" "${COMPREPLY[@]% }"')" 'the completion of a key'

	local before
	before=$(ledger)
	remove
	same "$before" "$(ledger)" 'the ledger after the removal'
	same '' "$(cd "$root" && find usr etc -path '*idem*')" 'the files after the removal'
	install "$2"
	same "$before" "$(ledger)" 'the ledger after a new installation'
}
