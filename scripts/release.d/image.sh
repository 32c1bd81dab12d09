# shellcheck shell=bash
# The image is unpacked as a container engine does it, and runs as its user.
# shellcheck source-path=SCRIPTDIR source=kit.sh
. "${BASH_SOURCE%/*}/kit.sh"

dir=$tmp/image
mkdir -p "$dir/layout" "$dir/root"
tar -xf "$dist/idem_${version}_oci.tar" -C "$dir/layout"
for blob in "$dir"/layout/blobs/sha256/*; do # each blob is what its name says
	same "$(basename "$blob")" "$(sha256sum <"$blob" | cut -d' ' -f1)" 'the digest of a blob'
done

# blob EXPRESSION FILE prints the path of the blob that jq finds in FILE.
blob() { echo "$dir/layout/blobs/$(jq -er "$1.digest" "$2" | tr : /)"; }
index=$(blob '.manifests[0]' "$dir/layout/index.json")
same "$version" "$(jq -r '.manifests[0].annotations["org.opencontainers.image.ref.name"]' "$dir/layout/index.json")" 'the name'
same $'linux/amd64\nlinux/arm64' "$(jq -r '.manifests[].platform | "\(.os)/\(.architecture)"' "$index")" 'the platforms'
manifest=$(blob '.manifests[] | select(.platform.architecture == "amd64")' "$index")
config=$(blob .config "$manifest")
same '65532:65532 /usr/bin/idem' "$(jq -r '.config | "\(.User) \(.Entrypoint[0])"' "$config")" 'the configuration'
same null "$(jq .config.Volumes "$config")" 'the volumes'
same "$version $(git rev-parse HEAD)" "$(jq -r '.config.Labels | "\(.["org.opencontainers.image.version"]) \(.["org.opencontainers.image.revision"])"' "$config")" 'the labels'
layer=$(blob '.layers[0]' "$manifest")
same "$(jq -r '.rootfs.diff_ids[0]' "$config")" "sha256:$(gzip -dc "$layer" | sha256sum | cut -d' ' -f1)" 'the digest of the layer'
tar -xzpf "$layer" --same-owner -C "$dir/root"

ledger=$(jq -r '.config.Env[] | select(startswith("IDEM_LEDGER="))' "$config")
contained=(env -i "$ledger" "$(command -v chroot)" --userspec=65532:65532 "$dir/root" /usr/bin/idem)
knows "${contained[@]}"
# There is no other program in the image, so idem runs itself.
for _ in first again; do
	"${contained[@]}" run -q --key k -- /usr/bin/idem version >>"$tmp/image-out"
done
same 1 "$(sort -u "$tmp/image-out" | wc -l)" 'the replay'
same 2 "$(wc -l <"$tmp/image-out")" 'the two calls'
same 1 "$("${contained[@]}" show --json k | jq '.attempts | length')" 'the attempts'
"${contained[@]}" run --key zone --per day --tz Europe/Berlin -- /usr/bin/idem version # the time zones are inside
