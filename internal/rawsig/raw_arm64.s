//go:build linux

#include "textflag.h"

// The kernel calls handler with the signal in R0, its siginfo in R1 and its context
// in R2, on the alternate stack that the runtime has given each thread. handler uses
// neither the stack nor any state of Go. It returns to the kernel's vDSO, which
// restores all registers.
TEXT ·handler(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	MOVW	8(R1), R3	// si_code
	MOVW	16(R1), R4	// si_pid
	MOVD	·pid(SB), R5
	SUB	$1, R0, R6
	MOVD	$1, R7
	LSL	R6, R7, R7	// the signal's bit
	MOVD	·faults(SB), R9
	TST	R7, R9
	BEQ	urg
	CMPW	$0, R3
	BGT	chain
urg:	// Go's scheduler sends URG to threads of this process
	CMPW	$23, R0
	BNE	pipe
	CMNW	$6, R3		// SI_TKILL
	BNE	pipe
	CMPW	R5, R4
	BEQ	chain
pipe:	// a write of this process has failed and returns the error
	MOVD	·writes(SB), R9
	TST	R7, R9
	BEQ	theirs
	CMPW	$0, R3		// SI_USER
	BNE	theirs
	CMPW	R5, R4
	BEQ	done
theirs:
	MOVD	·ignored(SB), R9
	TST	R7, R9
	BNE	done
	MOVD	·caught(SB), R9
	TST	R7, R9
	BEQ	default
	MOVW	R0, R10
	MOVD	$172, R8	// getpid: it differs in a child that has not called exec yet
	SVC
	CMPW	R5, R0
	BNE	child
	MOVD	·fd(SB), R0
	MOVD	$128, R2
	MOVD	$64, R8		// write
	SVC
	CMP	$0, R0
	BGE	done
	MOVD	$·missed(SB), R9	// the pipe is full: store the bit instead
again:
	LDAXR	(R9), R11
	ORR	R7, R11
	STLXR	R11, (R9), R12
	CBNZ	R12, again
	MOVD	·fd(SB), R0	// wake the reader, which may have read missed before the bit was set
	MOVD	$·wake(SB), R1
	MOVD	$128, R2
	MOVD	$64, R8		// write
	SVC
done:
	RET
default:	// as if there were no handler
	MOVW	R0, R10
child:
	MOVD	·harmless(SB), R9
	TST	R7, R9
	BNE	done
	MOVW	R10, R0
	MOVD	$·fallback(SB), R1
	MOVD	$0, R2
	MOVD	$8, R3
	MOVD	$134, R8	// rt_sigaction
	SVC
	MOVD	$172, R8	// getpid
	SVC
	CMPW	$1, R0
	BEQ	first
	MOVW	R10, R1
	MOVD	$129, R8	// kill
	SVC
	RET
first:	// process 1: the kernel would drop the signal
	ADDW	$128, R10, R0
	MOVD	$94, R8		// exit_group
	SVC
chain:
	MOVD	$·previous(SB), R9
	MOVD	(R9)(R0<<3), R9
	CBZ	R9, default
	JMP	(R9)

TEXT ·restorer(SB),NOSPLIT|NOFRAME,$0
	UNDEF

TEXT ·handlerPC(SB),NOSPLIT,$0-8
	MOVD	$·handler(SB), R0
	MOVD	R0, ret+0(FP)
	RET

TEXT ·restorerPC(SB),NOSPLIT,$0-8
	MOVD	$0, R0
	MOVD	R0, ret+0(FP)
	RET

// func syscall(trap, a, b, c, d uintptr) uintptr
TEXT ·syscall(SB),NOSPLIT,$0-48
	MOVD	trap+0(FP), R8
	MOVD	a+8(FP), R0
	MOVD	b+16(FP), R1
	MOVD	c+24(FP), R2
	MOVD	d+32(FP), R3
	SVC
	MOVD	R0, ret+40(FP)
	RET

// func exchange(p *uint64, v uint64) uint64
TEXT ·exchange(SB),NOSPLIT,$0-24
	MOVD	p+0(FP), R0
	MOVD	v+8(FP), R1
again:
	LDAXR	(R0), R2
	STLXR	R1, (R0), R3
	CBNZ	R3, again
	MOVD	R2, ret+16(FP)
	RET
