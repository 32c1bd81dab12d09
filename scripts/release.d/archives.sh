# shellcheck shell=bash
# Each archive has its files, its programs work, and its list of modules is what the programs say of themselves.
# shellcheck source-path=SCRIPTDIR source=kit.sh
. "${BASH_SOURCE%/*}/kit.sh"

platforms='darwin_amd64 darwin_arm64 linux_amd64 linux_arm64 linux_armv7 linux_riscv64'
same "$platforms" "$(cd "$dist" && echo *.tar.gz | sed "s/idem_${version}_//g; s/[.]tar[.]gz//g")" 'the archives'
for archive in "$dist"/*.tar.gz; do
	platform=$(basename "$archive" .tar.gz)
	platform=${platform#"idem_${version}_"}
	dir=$tmp/archives/$platform
	mkdir -p "$dir"
	tar -xzf "$archive" -C "$dir"
	for f in idem idem-postgres; do
		[ -x "$dir/$f" ]
		want=$(go version -m "$dir/$f" | awk 'NR == 1 { print "std@" substr($2, 3) } $1 == "dep" { print $2 "@" $3 }' | LC_ALL=C sort)
		got=$(jq -r --arg f "$f" '.dependencies[] | select(.ref == $f) | .dependsOn[]' "${archive%.tar.gz}.cdx.json" |
			cut -d/ -f2- | LC_ALL=C sort)
		same "$want" "$got" "the modules of $f for $platform"
		if grep -aqe /idem-release- -e "$(go env GOMODCACHE)/" -e "$(go env GOROOT)/" "$dir/$f"; then
			echo "$f for $platform has a path of this machine" && exit 1
		fi
	done
	for f in LICENSE LICENSES-third-party README.md man/man1/idem.1 completions/_idem completions/idem.bash completions/idem.fish docs/recovery.md docs/schema; do
		[ -s "$dir/$f" ] || { echo "$platform: no $f" && exit 1; }
	done
	same "$(sha256sum <"$archive")" "$(jq -r .metadata.component.hashes[0].content "${archive%.tar.gz}.cdx.json")  -" "the sum of $platform"

	run=()
	case $platform in
	"$host") ;;
	linux_arm64) run=(qemu-aarch64-static) ;;
	linux_armv7) run=(qemu-arm-static) ;;
	linux_riscv64) run=(qemu-riscv64-static) ;;
	*) continue ;; # cannot run here
	esac
	export IDEM_LEDGER=$dir/ledger
	knows "${run[@]}" "$dir/idem"
	knows "${run[@]}" "$dir/idem-postgres"
	works "${run[@]}" "$dir/idem"
	# Without live output, idem waits for the command by a descriptor. An emulator may have none.
	"${run[@]}" "$dir/idem" run --key quiet --quiet-ok -- true || { echo "$platform: a call without output" && exit 1; }
done

# The user's way: unpack, and call. idem finds idem-postgres next to it.
out=$("$tmp/archives/$host/idem" list --ledger 'postgres://nobody@127.0.0.1:1/none?connect_timeout=1' 2>&1) || true
[[ $out != *idem-postgres* ]] || { echo "idem does not find idem-postgres: $out" && exit 1; }

# docs/install.md names the files of the release.
while read -r f; do
	f=$dist/$(basename "$f" | sed "s/0[.]1[.]0/$version/")
	[ -s "$f" ] || { echo "docs/install.md names $(basename "$f")" && exit 1; }
done < <(grep -o 'dist/[A-Za-z0-9._-]*[A-Za-z0-9]' docs/install.md | sort -u)
