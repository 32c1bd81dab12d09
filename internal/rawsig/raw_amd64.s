//go:build linux

#include "textflag.h"

// The kernel calls handler with the signal in DI, its siginfo in SI and its context
// in DX, on the alternate stack that the runtime has given each thread. handler uses
// neither the stack nor any state of Go. The return restores all registers.
TEXT ·handler(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	MOVL	8(SI), R8	// si_code
	MOVL	16(SI), R10	// si_pid
	MOVL	DI, CX
	DECL	CX
	MOVQ	$1, R9
	SHLQ	CX, R9		// the signal's bit
	TESTQ	R9, ·faults(SB)
	JZ	urg
	CMPL	R8, $0
	JGT	chain
urg:	// Go's scheduler sends URG to threads of this process
	CMPL	DI, $23
	JNE	pipe
	CMPL	R8, $-6		// SI_TKILL
	JNE	pipe
	CMPL	R10, ·pid(SB)
	JEQ	chain
pipe:	// a write of this process has failed and returns the error
	TESTQ	R9, ·writes(SB)
	JZ	theirs
	CMPL	R8, $0		// SI_USER
	JNE	theirs
	CMPL	R10, ·pid(SB)
	JEQ	done
theirs:
	TESTQ	R9, ·ignored(SB)
	JNZ	done
	TESTQ	R9, ·caught(SB)
	JZ	default
	MOVL	DI, R12
	MOVL	$39, AX		// getpid: it differs in a child that has not called exec yet
	SYSCALL
	CMPL	AX, ·pid(SB)
	JNE	child
	MOVQ	·fd(SB), DI
	MOVL	$128, DX
	MOVL	$1, AX		// write
	SYSCALL
	TESTQ	AX, AX
	JPL	done
	LOCK			// the pipe is full: store the bit instead
	ORQ	R9, ·missed(SB)
	MOVQ	·fd(SB), DI	// wake the reader, which may have read missed before the bit was set
	LEAQ	·wake(SB), SI
	MOVL	$128, DX
	MOVL	$1, AX		// write
	SYSCALL
done:
	RET
default:	// as if there were no handler
	MOVL	DI, R12
child:
	TESTQ	R9, ·harmless(SB)
	JNZ	done
	MOVL	R12, DI
	LEAQ	·fallback(SB), SI
	MOVL	$0, DX
	MOVL	$8, R10
	MOVL	$13, AX		// rt_sigaction
	SYSCALL
	MOVL	$39, AX		// getpid
	SYSCALL
	CMPL	AX, $1
	JEQ	first
	MOVL	AX, DI
	MOVL	R12, SI
	MOVL	$62, AX		// kill
	SYSCALL
	RET
first:	// process 1: the kernel would drop the signal
	LEAL	128(R12), DI
	MOVL	$231, AX	// exit_group
	SYSCALL
chain:
	MOVL	DI, CX
	LEAQ	·previous(SB), AX
	MOVQ	(AX)(CX*8), AX
	TESTQ	AX, AX
	JZ	default
	JMP	AX

TEXT ·restorer(SB),NOSPLIT|NOFRAME,$0
	MOVQ	$15, AX		// rt_sigreturn
	SYSCALL
	INT	$3

TEXT ·handlerPC(SB),NOSPLIT,$0-8
	LEAQ	·handler(SB), AX
	MOVQ	AX, ret+0(FP)
	RET

TEXT ·restorerPC(SB),NOSPLIT,$0-8
	LEAQ	·restorer(SB), AX
	MOVQ	AX, ret+0(FP)
	RET

// func syscall(trap, a, b, c, d uintptr) uintptr
TEXT ·syscall(SB),NOSPLIT,$0-48
	MOVQ	trap+0(FP), AX
	MOVQ	a+8(FP), DI
	MOVQ	b+16(FP), SI
	MOVQ	c+24(FP), DX
	MOVQ	d+32(FP), R10
	SYSCALL
	MOVQ	AX, ret+40(FP)
	RET

// func exchange(p *uint64, v uint64) uint64
TEXT ·exchange(SB),NOSPLIT,$0-24
	MOVQ	p+0(FP), AX
	MOVQ	v+8(FP), CX
	XCHGQ	CX, (AX)
	MOVQ	CX, ret+16(FP)
	RET
