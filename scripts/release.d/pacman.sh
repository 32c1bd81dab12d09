# shellcheck shell=bash
# The packages for Arch Linux and Alpine. Debian has no apk, so the script only unpacks that package.
# shellcheck source-path=SCRIPTDIR source=kit.sh
. "${BASH_SOURCE%/*}/kit.sh"
# shellcheck source-path=SCRIPTDIR source=uses.sh
. "${BASH_SOURCE%/*}/uses.sh"

new_root
printf '[options]\nArchitecture = auto\nSigLevel = Never\nLocalFileSigLevel = Never\nCacheDir = %s\n' "$tmp/pacman" >"$tmp/pacman.conf"
mkdir -p "$root/var/lib/pacman"
pacman() { confined pacman --noconfirm --config "$tmp/pacman.conf" --root "$root" --dbpath "$root/var/lib/pacman" "$@"; }
install() { pacman -U "$1"; }
remove() { pacman -R idem-run; }
life "$(made_before '*-x86_64.pkg.tar.zst')" "$dist"/*-x86_64.pkg.tar.zst

apk=$tmp/apk
mkdir "$apk"
tar -xzf "$dist"/*_x86_64.apk -C "$apk" 2>"$tmp/apk.err" || true # tar does not know apk's headers
grep -qx 'pkgname = idem-run' "$apk/.PKGINFO"
same '' "$(cd "$apk" && compgen -G '.p*-*')" 'the scripts of the apk'
export IDEM_LEDGER=$tmp/apk-ledger
knows "$apk/usr/bin/idem"
works "$apk/usr/bin/idem"
