# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=kit.sh
. "${BASH_SOURCE%/*}/kit.sh"
# shellcheck source-path=SCRIPTDIR source=uses.sh
. "${BASH_SOURCE%/*}/uses.sh"

# rpmlint unpacks a package by cpio. nfpm writes absolute names, so cpio would try to unpack it on this host, and rpmlint would
# see no files. HOME has no settings for rpmlint.
mkdir "$tmp/bin"
printf '#!/bin/sh\nexec %q --no-absolute-filenames "$@"\n' "$(command -v cpio)" >"$tmp/bin/cpio"
chmod +x "$tmp/bin/cpio"
HOME=$tmp PATH=$tmp/bin:$PATH confined rpmlint --strict -c scripts/release.d/rpmlint.toml "$dist"/*.rpm

new_root
rpm() { confined rpm --root "$root" "$@"; }
rpm --initdb
install() {
	rpm -U --replacepkgs "$1"
	rpm -V idem-run
}
remove() { rpm -e idem-run; }
life "$(made_before '*.x86_64.rpm')" "$dist"/*.x86_64.rpm
