# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR source=kit.sh
. "${BASH_SOURCE%/*}/kit.sh"
# shellcheck source-path=SCRIPTDIR source=uses.sh
. "${BASH_SOURCE%/*}/uses.sh"

confined lintian --allow-root --fail-on error,warning --suppress-tags-from-file scripts/release.d/lintian-overrides.txt "$dist"/*.deb

new_root
install() {
	cp "$1" "$root/tmp/"
	in_root dpkg -i "/tmp/${1##*/}"
}
remove() { in_root dpkg --purge idem-run; }
life "$(made_before '*_amd64.deb')" "$dist"/*_amd64.deb
