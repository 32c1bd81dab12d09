# shellcheck shell=bash
# The release is made again: in a clone, under another host name, user mask, language and time zone, and later. All files are
# the same, byte for byte, but for the signature. The build cache is that of the first release: each program is linked again.
# The programs for this platform are also compiled again, with Go's own packages, from an empty build cache.
# shellcheck source-path=SCRIPTDIR source=kit.sh
. "${BASH_SOURCE%/*}/kit.sh"

ssh-keygen -q -t ed25519 -N '' -C '' -f "$tmp/key"
ssh-keygen -q -t ed25519 -N '' -C '' -f "$tmp/other"
for key in key other; do echo "releases@idem.example $(cat "$tmp/$key.pub")" >"$tmp/$key.signers"; done

git clone -q . "$tmp/elsewhere"
mkdir "$tmp/tmpdir"
# elsewhere CACHE ARGS makes a release. Its build cache is CACHE.
elsewhere() {
	local other=() cache=$1
	shift
	if [ "$(id -u)" = 0 ]; then other=(unshare --uts); fi
	# shellcheck disable=SC2016 # the shell that it starts expands it
	"${other[@]}" env -C "$tmp/elsewhere" GOCACHE="$cache" TMPDIR="$tmp/tmpdir" TZ=Pacific/Kiritimati LC_ALL=C.UTF-8 GOFLAGS=-v \
		sh -c 'umask 077; if [ "$(id -u)" = 0 ]; then hostname elsewhere; fi; exec "$@"' sh "$tmp/release" "$@" "$version"
}
elsewhere "$tmp/no-cache" "$@" --here
for of in "$dist" "$tmp/elsewhere/dist"; do
	tar -xzf "$of/idem_${version}_$host.tar.gz" -C "$tmp/tmpdir" idem idem-postgres
	sha256sum "$tmp"/tmpdir/idem* >>"$tmp/programs"
	rm "$tmp"/tmpdir/idem*
done
same 2 "$(sort "$tmp/programs" | uniq -d | wc -l)" 'the programs that are the same'
rm -rf "$tmp/no-cache"

elsewhere "$(go env GOCACHE)" "$@" --key "$tmp/key"
diff -r -x SHA256SUMS.sig "$dist" "$tmp/elsewhere/dist"

verify=$PWD/scripts/verify
cd "$tmp/elsewhere" || exit
"$verify" dist "$tmp/key.signers"
"$verify" dist
what=
# refused ARGS fails if scripts/verify accepts $what.
refused() {
	if "$verify" "$@"; then echo "verify accepts $what" && exit 1; fi
}
what='another key' refused dist "$tmp/other.signers"
for change in byte sums extra hidden unsigned; do
	rm -rf changed
	cp -r dist changed
	case $change in
	byte) printf x | dd of=changed/idem.rb bs=1 seek=9 conv=notrunc status=none ;;
	sums) sed -i '1s/^./x/' changed/SHA256SUMS ;;
	extra) echo extra >changed/extra ;;
	hidden) echo extra >changed/.extra ;;
	unsigned) rm changed/SHA256SUMS.sig ;;
	esac
	what="a release with another $change" refused changed "$tmp/key.signers"
done
