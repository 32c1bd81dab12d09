# shellcheck shell=bash
# Part of scripts/demo: two hosts deploy the same release at the same time, with one ledger on PostgreSQL.
# The hosts are namespaces of this machine: each has its processes, network, host name and local directory.
# shellcheck disable=SC2154 # scripts/demo sets $started and $tmp

# host NAME makes a host. Its first process waits for the end of this script.
declare -A hosts
host() {
	# shellcheck disable=SC2016 # the shell on the host expands it
	setsid unshare --net --uts --pid --mount --ipc --fork --kill-child --mount-proc \
		sh -c 'hostname "$0"; ip link set lo up; mount -t tmpfs tmpfs /mnt; echo $$ >"$1"; exec sleep 1d' "$1" "$SITE/$1.up" &
	local p=$!
	until_true test -s "$SITE/$1.up"
	hosts[$1]=$(pgrep -P "$p")
}

# on NAME COMMAND runs a command on a host.
on() { nsenter -t "${hosts[$1]}" --net --uts --pid --mount --ipc -- "${@:2}"; }

# as_server COMMAND runs a command of PostgreSQL on the host db.
as_server() { on db setpriv --reuid="$server_user" --regid="$server_user" --clear-groups -- "$@"; }

# on_web NAME COMMAND is on, with the environment that a user has there.
on_web() { on "$1" env -C "$PWD" "STATE_DIRECTORY=$SITE/$1" "${@:2}"; }
run_on() { printf '\n%s$' "$1" && printf ' %q' "${@:2}" && echo && on_web "$@"; }
start_on() {
	printf '\n%s$' "$1" && printf ' %q' "${@:2}" && echo ' &'
	on_web "$@" >"$SITE/$1.out" 2>&1 &
}

# wire NAME NUMBER connects a host to the bridge of the host db.
wire() {
	ip link add "$1" netns "${hosts[db]}" type veth peer name eth0 netns "${hosts[$1]}"
	on db ip link set "$1" master br0 up
	on "$1" ip addr add "10.77.0.$2/24" dev eth0
	on "$1" ip link set eth0 up
}

server() {
	local bin
	bin=$(dirname "$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | tail -n 1)")
	host db
	on db sh -c "mkdir /mnt/pg && chown $server_user /mnt/pg"
	on db ip link add br0 type bridge
	on db ip addr add 10.77.0.1/24 dev br0
	on db ip link set br0 up
	as_server "$bin/initdb" -D /mnt/pg/data -A trust -U owner --no-sync >"$SITE/server.log"
	echo 'host all all 10.77.0.0/24 trust' | as_server tee -a /mnt/pg/data/pg_hba.conf >/dev/null
	as_server "$bin/pg_ctl" -D /mnt/pg/data -w -l /mnt/pg/log start \
		-o '-c listen_addresses=10.77.0.1 -c unix_socket_directories=/mnt/pg -c fsync=off' >>"$SITE/server.log"
	as_server "$bin/psql" -q -h /mnt/pg -U owner -d postgres -c 'create role ci login'
}

demo_shared() {
	local commit id=8472 status=0 heard release=scripts/demo.d/release server_user=postgres
	local url='postgres://ci@10.77.0.1/postgres?sslmode=disable&lease=30s' owner='postgres://owner@10.77.0.1/postgres?sslmode=disable'
	if [ "$(id -u)" != 0 ] || ! unshare --net --pid --fork true 2>/dev/null; then
		skip 'shared: two hosts need root, for network namespaces'
		return
	fi
	need git git
	need ip iproute2
	need_postgres
	has_postgres && command -v ip >/dev/null || return 0
	id "$server_user" >/dev/null 2>&1 || server_user=nobody
	commit=$(git rev-parse --short=12 HEAD) || {
		skip 'shared: this is not a clone of the repository'
		return
	}
	go build -tags postgres -o "$tmp/bin/idem-postgres" .
	export SITE=$1 IDEM_LEDGER=$url
	mkdir -p "$SITE/web-1" "$SITE/web-2"

	say 'shared: a server on the host db, and two hosts, web-1 and web-2'
	server
	host web-1
	host web-2
	wire web-1 2
	wire web-2 3
	run_on web-1 idem ledger init "$owner" --grant ci

	say "both hosts deploy commit $commit at the same time"
	start_on web-1 "$release" "$id" "$commit"
	local one=$!
	start_on web-2 "$release" "$id" "$commit"
	local two=$!
	wait "$one" || die "web-1 failed with $?: $(cat "$SITE/web-1.out")"
	wait "$two" || die "web-2 failed with $?: $(cat "$SITE/web-2.out")"
	say 'web-1 said:' && cat "$SITE/web-1.out"
	say 'web-2 said:' && cat "$SITE/web-2.out"
	run_on web-2 idem list
	for step in archive build unpack smoke switch; do
		[ "$(times "$step started"):$(times "$step completed")" = 1:1 ] || die "$step did not run once"
	done
	cmp <(grep -v ^idem: "$SITE/web-1.out") <(grep -v ^idem: "$SITE/web-2.out") || die 'the hosts got different outputs'

	key=deploy:$id:announce
	say 'a step that must not happen twice. web-1 waits for a listener, and is cut off'
	mkfifo "$SITE/announcements"
	start_on web-1 idem run --key "$key" -- "$release" "$id" "$commit" announce
	one=$!
	until_true grep -qx 'announce started' "$SITE/ran" || die 'the announcement did not start'
	run on db ip link set web-1 down
	say 'while the lease is valid, web-2 is refused (75)'
	run_on web-2 idem run --key "$key" -- "$release" "$id" "$commit" announce || status=$?
	[ "$status" = 75 ] || die "a running step gave status $status, not 75"
	say 'web-1 ends its command before its lease ends'
	until_true gone announce || die 'the command on web-1 lives on'
	say 'after the lease, the outcome is unknown to web-2 (79). It does not guess'
	status=0
	run_on web-2 idem run --key "$key" --wait=1m -- "$release" "$id" "$commit" announce || status=$?
	[ "$status" = 79 ] || die "a step that was cut off gave status $status, not 79"

	say 'web-1 is connected again, and records the outcome'
	run on db ip link set web-1 up
	status=0
	wait "$one" || status=$?
	say "web-1 said, with status $status:" && cat "$SITE/web-1.out"
	say 'so the command is known to have failed, and web-2 may run it. Now there is a listener'
	start cat "$SITE/announcements" >"$SITE/heard"
	run_on web-2 idem run --key "$key" -- "$release" "$id" "$commit" announce || die "the announcement failed with $?"
	finish || die "the listener failed with $?"
	run_on web-1 idem run --key "$key" -- "$release" "$id" "$commit" announce || die "the replay failed with $?"
	heard=$(tail -n 1 "$SITE/heard")
	[ "$heard" = "released $commit" ] || die "the listener heard: $heard"
	[ "$(times 'announce started'):$(times 'announce completed')" = 2:1 ] || die 'the announcement did not complete once'
	run_on web-2 idem list
	say "shared: ok, commit $commit was released once, by two hosts"
}

# gone NAME reports whether no command of that step is alive.
gone() { ! pgrep -f "^bash $release [0-9]+ [0-9a-f]+ $1\$" >/dev/null; }
