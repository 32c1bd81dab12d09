# shellcheck shell=bash
# Part of scripts/demo: a release deploy that is killed with -9 in the middle.
# shellcheck disable=SC2154 # scripts/demo sets $started, and demo_deploy sets $id

interrupted() { [ "$(idem list --glob '*:build' --state interrupted | wc -l)" = 1 ]; }
compiling() { compgen -G "$SITE/build/tmp/go-build*/b*" >/dev/null; }

# kill_in_build starts the deploy and kills it while the compiler runs. It fails if the build ended first.
kill_in_build() {
	rm -rf "$SITE"
	mkdir -p "$SITE"
	start "$release" "$id" "$commit"
	if until_true compiling; then
		kill -STOP -- "-$started" # freeze the processes, so that ps shows exactly those that are killed
		if [ "$(times 'build completed')" = 0 ]; then
			say 'the compiler runs. kill -9: the deploy, idem, the command of the step and what it started:'
			! command -v ps >/dev/null || ps -o pid=,args= --sid "$started" | cut -c1-100
			kill9
			return
		fi
		kill -CONT -- "-$started"
	fi
	finish || die "the deploy failed with $?"
	false
}

demo_deploy() {
	local commit id=8471 key status heard release=scripts/demo.d/release
	need git git
	commit=$(git rev-parse --short=12 HEAD) || {
		skip 'deploy: this is not a clone of the repository'
		return
	}
	export SITE=$1 IDEM_LEDGER=$1/ledger

	say "deploy: put commit $commit into service, each step under idem run. The key names deployment $id, not the commit"
	sed -n '/^for step/,$p' "$release"
	kill_in_build || kill_in_build || kill_in_build || die 'the build ended before it could be killed, three times'

	say 'what idem knows of it'
	until_true interrupted # the step counts as running until its last process is dead
	run idem list

	say 'the second time: what is done is replayed, the interrupted build may rerun (--on-interrupted rerun), the rest runs'
	start "$release" "$id" "$commit"
	finish || die "the second deploy failed with $?"

	say 'the third time: everything is replayed, no command runs'
	cp "$SITE/ran" "$SITE/ran.before"
	start "$release" "$id" "$commit"
	finish || die "the third deploy failed with $?"
	cmp "$SITE/ran.before" "$SITE/ran" || die 'the third deploy ran a command'

	key=deploy:$id:announce
	say 'a step that must not happen twice, killed while it waits for a listener'
	mkfifo "$SITE/announcements"
	start idem run --key "$key" -- "$release" "$id" "$commit" announce
	until_true grep -qx 'announce started' "$SITE/ran" || die 'the announcement did not start'
	kill9
	say 'by default idem does not guess what became of it'
	status=0
	run idem run --key "$key" --wait=1m -- "$release" "$id" "$commit" announce || status=$?
	echo "status $status"
	[ "$status" = 79 ] || die "an interrupted step gave status $status, not 79"
	say 'the operator looks: there was no listener, so no one was told. Now there is one'
	run idem mark retry "$key" --note 'there was no listener'
	start cat "$SITE/announcements" >"$SITE/heard"
	run idem run --key "$key" -- "$release" "$id" "$commit" announce || die "the announcement failed with $?"
	finish || die "the listener failed with $?"
	heard=$(tail -n 1 "$SITE/heard")
	[ "$heard" = "released $commit" ] || die "the listener heard: $heard"

	say 'how often the command of each step really ran'
	for step in archive:1 build:2 unpack:1 smoke:1 switch:1 announce:2; do
		set -- "${step%:*}" "$(times "${step%:*} started")" "$(times "${step%:*} completed")"
		printf '%-9s started %s, completed %s\n' "$@"
		[ "$2:$3" = "${step#*:}:1" ] || die "$1 was to start ${step#*:} and complete once"
	done

	say 'the ledger, and what is in service'
	run idem list
	[ "$(idem list --state succeeded | wc -l)" = 6 ] || die 'not all of the 6 steps are recorded as succeeded'
	run readlink "$SITE/current"
	[ "$(readlink "$SITE/current")" = "releases/$commit" ] || die 'current does not point to the release'
	run "$SITE/current/idem" version
	say "deploy: ok, commit $commit was released once"
}
