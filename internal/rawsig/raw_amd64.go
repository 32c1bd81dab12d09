//go:build linux

package rawsig

const (
	sysSigaction, sysSigprocmask, sysGetpid, sysKill, sysPipe2 = 13, 14, 39, 62, 293
	sysFcntl, sysOpenat, sysWrite, sysExitGroup                = 72, 257, 1, 231
	sysDup3, sysClose                                          = 292, 3
	sysTkill                                                   = 200

	restorerFlag = 0x04000000 // the kernel has no default restorer
)
