# shellcheck shell=bash
# The formula and the PKGBUILD are valid, have the right sums, and the PKGBUILD makes a package of the archive.
# shellcheck source-path=SCRIPTDIR source=kit.sh
. "${BASH_SOURCE%/*}/kit.sh"

ruby -c "$dist/idem.rb"
bash -n "$dist/PKGBUILD"
for recipe in idem.rb PKGBUILD; do
	n=0
	while read -r sum name; do
		case $name in
		*_armv7.tar.gz | *_riscv64.tar.gz) continue ;; # no package manager here has them
		*_darwin_*.tar.gz) [ $recipe = idem.rb ] || continue ;;
		*.tar.gz) ;;
		*) continue ;;
		esac
		grep -q "$name" "$dist/$recipe" || { echo "$recipe does not name $name" && exit 1; }
		grep -q "$sum" "$dist/$recipe" || { echo "$recipe does not have the sum of $name" && exit 1; }
		n=$((n + 1))
	done <"$dist/SHA256SUMS"
	[ "$n" -ge 2 ]
done

# makepkg finds the archive next to the PKGBUILD, and refuses to run as root.
dir=$tmp/makepkg
mkdir "$dir"
cp "$dist/PKGBUILD" "$dist/idem_${version}_linux_amd64.tar.gz" "$dir"
make=(env -C "$dir" CARCH=x86_64 PKGEXT=.pkg.tar.gz PKGDEST="$dir" makepkg --nodeps)
if [ "$(id -u)" = 0 ]; then
	chown -R nobody "$dir"
	chmod 755 "$tmp"
	make=(setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME="$dir" "${make[@]}")
fi
"${make[@]}"
bsdtar -tf "$dir"/*.pkg.tar.gz >"$tmp/files"
for f in usr/bin/idem usr/bin/idem-postgres usr/share/bash-completion/completions/idem usr/share/man/man1/idem.1 usr/share/doc/idem-run-bin/docs/recovery.md; do
	grep -q "^$f" "$tmp/files" || { echo "the package has no $f" && exit 1; }
done
