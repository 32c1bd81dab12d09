# shellcheck shell=sh disable=SC1010,SC1091,SC2016 # scripts and keys are arguments
# Asks for each key of ledger.tar.gz. stdout and statuses are answers, messages are not.
ask() {
	printf '$ idem %s\n' "$*"
	{ idem "$@" 2>/dev/null; printf '[%s]\n' $?; } | grep -v '"age_seconds":'
}
# Output that is long or no text.
sum() {
	printf '$ idem %s\n' "$*"
	{ idem "$@" 2>/dev/null; printf '[%s]\n' $?; } | cksum
}

success='echo out; echo err >&2; printf "\000\377bytes"'
large='i=0; while [ $i -lt 4000 ]; do echo "line $i of a large output"; i=$((i+1)); done'
truncated='i=0; while [ $i -lt 3 ]; do head -c 500000 /dev/zero; i=$((i+1)); done'

ask list --json
ask list --json --namespace prod
for key in success failure again signal timeout final forgotten forgotten2 done failed env files large \
	truncated noout redacted nostore sidefile probed retried interrupted; do
	ask show --json "$key"
	ask explain --json --key "$key" -- other command
	ask check --key "$key" -- other command
	ask token "$key"
	sum logs "$key"
	sum logs --stderr "$key"
done
for window in 2026-11-21 2026-11-22; do
	ask show --json --window $window daily
	ask token --window $window daily
done
ask show --json --namespace prod success
ask show --json --namespace 'größe' 'a key with "quotes", ü and a /'

# Replays, and what is refused.
sum run --key success -- sh -c "$success"
ask run --key success -- sh -c "$success; # other"
ask run --key failure --on-failure replay -- sh -c 'echo sorry >&2; exit 7'
ask run --key failure --on-failure refuse -- sh -c 'echo sorry >&2; exit 7'
ask run --key again -- echo second
ask run --key signal --on-failure refuse -- sh -c 'kill -SEGV $$'
ask run --key timeout --on-failure replay -- sleep 60
ask run --key final --final 65 -- sh -c 'echo no; exit 65'
ask run --key forgotten2 -- echo two
ask run --key done -- anything
ask run --key failed --on-failure refuse -- false
ask run --key daily --per day --tz UTC --at '2026-11-21 10:00' -- echo saturday
ask run --key daily --per day --tz UTC --at '2026-11-22 10:00' --on-failure replay -- sh -c 'echo sunday; exit 1'
ask run --key success --namespace prod -- echo prod
ask run --key 'a key with "quotes", ü and a /' --namespace 'größe' -- echo odd
ask run --key env --hash-env TARGET -- echo env
TARGET=other ask run --key env --hash-env TARGET -- echo env
ask key --json --key env --hash-env TARGET -- echo env
ask run --key files --hash-file conf --hash-value v=1 -- echo files
ask run --key files --hash-file conf --hash-value v=2 -- echo files
ask key --json --key files --hash-file conf --hash-value v=1 -- echo files
(cd / && ask run --ttl 500w -- echo derived)
sum run --key large -- sh -c "$large"
sum run --key truncated --max-output 1MiB -- sh -c "$truncated"
ask run --key noout --max-output 0 -- echo nothing kept
ask run --key redacted --redact 'pass[a-z]*' -- echo my password is here
ask run --key nostore --no-store args -- echo not stored
: >side
ask run --key sidefile --replay-file side -- sh -c 'echo step=done >>side; echo appended'
cat side
ask run --key probed --probe-first --probe 'echo probe says done' -- echo never
ask run --key retried --on-failure refuse -- sh -c 'echo try $IDEM_ATTEMPT; exit 4'
ask run --key interrupted -- sh -c 'echo partial; exec sleep 300'

# What runs: the attempt before counts, and the token of a forgotten key is another.
ask run --key failure --on-mismatch rerun -- sh -c 'echo "$IDEM_ATTEMPT $IDEM_FENCE $IDEM_TOKEN"'
ask run --key forgotten -- sh -c 'echo "$IDEM_ATTEMPT $IDEM_FENCE $IDEM_TOKEN"'
ask run --key interrupted --on-mismatch rerun --on-interrupted rerun -- sh -c 'echo "$IDEM_ATTEMPT $IDEM_FENCE $IDEM_TOKEN"'
ask run --key interrupted -- sh -c 'echo "$IDEM_ATTEMPT $IDEM_FENCE $IDEM_TOKEN"'
