package entry

// The lines that entry_linux_amd64.s writes. docs/limits.md has the numbers.
//
//lint:file-ignore U1000 used in assembly
var (
	noSpace   = "idem: the limit of address space (ulimit -v) leaves too little room: 860160 KiB do\n"
	noData    = "idem: the limit of data (ulimit -d) leaves too little room: 131072 KiB do\n"
	noProcess = "idem: the limit of processes and threads of a user (ulimit -u) is too low: 16 do\n"
)
