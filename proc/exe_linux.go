package proc

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// atExecfn is AT_EXECFN of getauxval(3).
const atExecfn = 31

// executedAs returns the path that was passed to execve(2) for this program. The
// kernel stores it in the memory of the process. executedAs returns "" if it is not
// known. The path is relative to the working directory at that time, which idem never
// changes.
func executedAs() string {
	vector, err := unix.Auxv()
	if err != nil {
		return ""
	}
	for _, v := range vector {
		if v[0] == atExecfn && v[1] != 0 {
			return unix.BytePtrToString(*(**byte)(unsafe.Pointer(&v[1])))
		}
	}
	return ""
}
