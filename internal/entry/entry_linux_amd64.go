package entry

// These are the lines that entry_linux_amd64.s writes. docs/limits.md has the numbers.
//
//lint:file-ignore U1000 used in assembly
var (
	noSpace   = "idem: the limit of address space (ulimit -v) is too low: 1392640 KiB are enough\n"
	noData    = "idem: the limit of data (ulimit -d) is too low: 131072 KiB are enough\n"
	noProcess = "idem: the limit of processes and threads of a user (ulimit -u) is too low: 16 are enough\n"
)
