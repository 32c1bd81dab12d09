# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=kit.sh
. "${BASH_SOURCE%/*}/kit.sh"
# shellcheck source-path=SCRIPTDIR source=uses.sh
. "${BASH_SOURCE%/*}/uses.sh"

# rpmlint unpacks a package by cpio. nfpm writes absolute names, so cpio would unpack it on this host, and rpmlint would see
# no files. HOME has no settings for rpmlint.
mkdir "$tmp/bin"
printf '#!/bin/sh\nexec %q --no-absolute-filenames "$@"\n' "$(command -v cpio)" >"$tmp/bin/cpio"
chmod +x "$tmp/bin/cpio"
HOME=$tmp PATH=$tmp/bin:$PATH rpmlint --strict -c scripts/release.d/rpmlint.toml "$dist"/*.rpm
same '' "$(find /usr -path '*idem*' -cnewer "$tmp/bin/cpio")" 'the files of the package on this host'

new_root
rpm --root "$root" --initdb
install() {
	rpm --root "$root" -U --replacepkgs "$1"
	rpm --root "$root" -V idem-run
}
remove() { rpm --root "$root" -e idem-run; }
life "$(made_before '*.x86_64.rpm')" "$dist"/*.x86_64.rpm
