package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
)

const sumsFile = "SHA256SUMS"

// sums writes the SHA-256 of every file, as sha256sum does.
func (r *release) sums() error {
	entries, err := os.ReadDir(r.dist)
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, e := range entries {
		sum, err := r.sum(e.Name())
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "%s  %s\n", sum, e.Name())
	}
	return os.WriteFile(r.out(sumsFile), []byte(text.String()), 0o644)
}

// sum is the SHA-256 of a file of the release.
func (r *release) sum(name string) (string, error) {
	content, err := os.ReadFile(r.out("%s", name))
	return fmt.Sprintf("%x", sha256.Sum256(content)), err
}

// signedAs is the namespace of the signature: ssh-keygen accepts it for nothing else.
const signedAs = "idem-release"

// sign signs the sums. scripts/verify checks both.
func (r *release) sign() error {
	if r.key == "" {
		fmt.Fprintln(os.Stderr, "release: note: SHA256SUMS is not signed\nrelease: hint: --key FILE, or IDEM_RELEASE_KEY")
		return nil
	}
	_, err := output("", nil, "ssh-keygen", "-q", "-Y", "sign", "-n", signedAs, "-f", r.key, r.out(sumsFile))
	return err
}
