#!/bin/sh
# shellcheck disable=SC1010,SC1091,SC2016 # scripts and keys are arguments
# Makes ledger.tar.gz, a ledger of the idem in PATH, and answers.txt, which is
# how that idem answers questions.sh on it. Run once, with the idem of the commit
# before numbered migrations:
#
#	PATH=DIR:$PATH unshare --uts sh -c 'hostname host.example && ./make.sh'
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LC_ALL=C TZ=UTC HOME="$work" IDEM_LEDGER="$work/ledger" TARGET=prod
unset IDEM_NAMESPACE
here=$PWD
cd "$work"
. "$here/inputs.sh"
run() { idem run "$@" >"$work/out" 2>&1 || :; }

run --key success -- sh -c 'echo out; echo err >&2; printf "\000\377bytes"'
run --key failure -- sh -c 'echo sorry >&2; exit 7'
run --key failure -- sh -c 'echo sorry >&2; exit 7'
run --key again -- sh -c 'echo first; exit 3'
run --key again --on-mismatch rerun -- echo second
run --key signal -- sh -c 'kill -SEGV $$'
run --key timeout --timeout 100ms -- sleep 60
run --key final --final 65 -- sh -c 'echo no; exit 65'
run --key forgotten -- echo forgotten
idem forget forgotten 2>/dev/null
run --key forgotten2 -- echo one
idem forget forgotten2 2>/dev/null
run --key forgotten2 -- echo two
idem mark done --note 'by hand' done 2>/dev/null
run --key failed -- false
idem mark failed --note "it's broken" failed 2>/dev/null
run --key daily --per day --tz UTC --at '2026-11-21 10:00' -- echo saturday
run --key daily --per day --tz UTC --at '2026-11-22 10:00' -- sh -c 'echo sunday; exit 1'
run --key success --namespace prod -- echo prod
run --key 'a key with "quotes", ü and a /' --namespace 'größe' -- echo odd
run --key env --hash-env TARGET -- echo env
run --key files --hash-file conf --hash-value v=1 -- echo files
(cd / && run --ttl 500w -- echo derived)
run --key large -- sh -c 'i=0; while [ $i -lt 4000 ]; do echo "line $i of a large output"; i=$((i+1)); done'
run --key truncated --max-output 1MiB -- sh -c 'i=0; while [ $i -lt 3 ]; do head -c 500000 /dev/zero; i=$((i+1)); done'
run --key noout --max-output 0 -- echo nothing kept
run --key redacted --redact 'pass[a-z]*' -- echo my password is here
run --key nostore --no-store args -- echo not stored
: >side
run --key sidefile --replay-file side -- sh -c 'echo step=done >>side; echo appended'
run --key probed --probe-first --probe 'echo probe says done' -- echo never
run --key retried --retries 2 --retry-delay 1ms -- sh -c 'echo try $IDEM_ATTEMPT; exit 4'
setsid idem run --key interrupted -- sh -c 'echo partial; exec sleep 300' >/dev/null 2>&1 &
idem=$!
while ! idem logs interrupted 2>/dev/null | grep -q partial; do sleep 0.1; done
kill -9 "-$idem"
wait $idem 2>/dev/null || :
idem wait interrupted 2>/dev/null || :

rm -f ledger/ledger.db-shm
tar --sort=name --owner=0 --group=0 --numeric-owner -cf - ledger | gzip -9n >"$here/ledger.tar.gz"
sh "$here/questions.sh" >"$here/answers.txt"
