# shellcheck shell=bash
# Part of scripts/demo: a real cron calls idem every minute, and the job runs once a day.
# shellcheck disable=SC2034,SC2154 # scripts/demo sets $tmp and removes $crontab

# tick_lines DIR prints a line with key, action and exit status for each tick, in order.
tick_lines() {
	local f
	for f in "$1"/ticks/*.json; do
		[ ! -s "$f" ] || echo "$(field key "$f") $(field action "$f") $(field exit_code "$f")"
	done
}
field() { sed -nE "s/^ *\"$1\": \"?([^\",]*)\"?,?$/\1/p" "$2"; }

demo_cron() {
	local dir=$1 i n keys
	say 'cron: a backup that shall run once a day, called every minute by a real cron'
	if [ "$(id -u)" != 0 ]; then
		skip 'cron: starting a cron daemon needs root'
		return
	fi
	need cron cron
	command -v cron >/dev/null || return 0

	mkdir -p "$dir/ticks"
	ln -s "$PWD" "$dir/repository"
	cat >"$dir/backup" <<-'EOT'
		#!/bin/sh -e
		echo "ran $IDEM_KEY" >>ran
		tar -czf backup.tar.gz -C repository LICENSE go.mod go.sum docs
		ls -s backup.tar.gz
	EOT
	chmod +x "$dir/backup"

	crontab=/etc/cron.d/idem-demo-$$ # cron ignores a file that is group- or world-writable, or that does not end with a newline
	(umask 022 && cat >"$crontab") <<-EOT
		PATH=$tmp/bin:/usr/bin:/bin
		MAILTO=""
		IDEM_LEDGER=$dir/ledger
		* * * * * root cd '$dir' && idem run --key "backup:\$(date +\%F)" --on-interrupted rerun --meta-file "ticks/\$(date +\%s).json" -- ./backup >>log 2>&1
		# should the demo itself be killed with -9
		* * * * * root kill -0 $$ 2>/dev/null || rm -f $crontab
	EOT
	run cat "$crontab"

	# If a cron is already running, this one ends with an error, and the running one reads the file.
	setsid setpriv --pdeathsig TERM cron -f 2>"$dir/cron.err" &

	say 'waiting for two ticks of one day, up to three minutes'
	# At midnight the key changes and the job runs once more, so a third tick is necessary.
	n=0
	for ((i = 0; i < 300; i++)); do
		sleep 1
		keys=$(tick_lines "$dir")
		if [ -n "$keys" ] && [ "$(wc -l <<<"$keys")" -gt "$n" ]; then
			n=$(wc -l <<<"$keys")
			echo "$(date +%T) tick $n: $(tail -n 1 <<<"$keys")"
		fi
		! grep -q ' replayed ' <<<"$keys" || break
	done
	rm -f "$crontab"

	[ "$n" -ge 2 ] || die "cron ticked $n times in $i seconds: $(cat "$dir/cron.err" "$dir/log" 2>&1)"
	run cat "$dir/ran"
	run cat "$dir/log"
	run idem list --ledger "$dir/ledger"
	# The file ran must have one line a day, and each key must be executed at its first tick and replayed later.
	[ "$(cut -d' ' -f1 <<<"$keys" | sort -u | sed 's/^/ran /')" = "$(cat "$dir/ran")" ] ||
		die "the job was to run once a day: $(cat "$dir/ran")"
	awk '$2 != (seen[$1]++ ? "replayed" : "executed") || $3 != 0 { exit 1 }' <<<"$keys" ||
		die "the ticks were to be executed first, then replayed: $keys"
	say "cron: ok, $n ticks, the job ran once a day"
}
