//go:build linux

package rawsig

const (
	sysSigaction, sysSigprocmask, sysGetpid, sysKill, sysPipe2 = 134, 135, 172, 129, 59
	sysFcntl, sysOpenat, sysWrite, sysExitGroup                = 25, 56, 64, 94
	sysDup3, sysClose                                          = 24, 57
	sysTkill                                                   = 130

	restorerFlag = 0 // the vDSO has the restorer
)
