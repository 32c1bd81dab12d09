//go:build !postgres

#include "textflag.h"

// idem_sibling makes a call for a shared ledger become idem-postgres before Go's runtime
// starts, which saves one of the two starts of a runtime. idem_start jumps here with the SP
// of the process's entry: it points to argc, argv, 0, envp, 0 and the auxiliary vector.
//
// It acts only if the file idem-postgres is next to that of this program, and only for the
// two usual calls:
//
//   - IDEM_LEDGER, where it occurs first in the environment, begins as a URL
//   - an argument before the first "--" is --ledger=URL, or --ledger and the next one a URL
//
// These are calls for which becomeSibling in package cmd does the same. In all other cases,
// and if the execve fails, Go's runtime starts, and becomeSibling looks at the call again.
//
// The sibling gets the arguments as they are, and one more variable at the end of the
// environment: that of becomeSibling, which the sibling removes. The kernel's array has no
// room for it, so it takes the places of the 0 after envp and of the first word behind, which
// are restored if the execve fails.

#define SYS_execve   59
#define SYS_readlink 89

#define PATH_SIZE 4096
#define NAME_SIZE 14

DATA marker<>+0(SB)/8, $"IDEM_SIB"
DATA marker<>+8(SB)/8, $"LING=1\x00\x00"
GLOBL marker<>(SB), RODATA|NOPTR, $16

DATA ledger<>+0(SB)/8, $"IDEM_LED"
DATA ledger<>+8(SB)/8, $"GER=\x00\x00\x00\x00"
GLOBL ledger<>(SB), RODATA|NOPTR, $16

DATA flag<>+0(SB)/8, $"--ledger"
DATA flag<>+8(SB)/8, $"=\x00\x00\x00\x00\x00\x00\x00"
GLOBL flag<>(SB), RODATA|NOPTR, $16

DATA word<>+0(SB)/8, $"--ledger"
DATA word<>+8(SB)/8, $"\x00\x00\x00\x00\x00\x00\x00\x00"
GLOBL word<>(SB), RODATA|NOPTR, $16

DATA end<>+0(SB)/8, $"--\x00\x00\x00\x00\x00\x00"
GLOBL end<>(SB), RODATA|NOPTR, $8

DATA helper<>+0(SB)/8, $"__tty-\x00\x00"
GLOBL helper<>(SB), RODATA|NOPTR, $8

DATA short<>+0(SB)/8, $"postgres"
DATA short<>+8(SB)/8, $"://\x00\x00\x00\x00\x00"
GLOBL short<>(SB), RODATA|NOPTR, $16

DATA long<>+0(SB)/8, $"postgres"
DATA long<>+8(SB)/8, $"ql://\x00\x00\x00"
GLOBL long<>(SB), RODATA|NOPTR, $16

DATA self<>+0(SB)/8, $"/proc/se"
DATA self<>+8(SB)/8, $"lf/exe\x00\x00"
GLOBL self<>(SB), RODATA|NOPTR, $16

DATA name<>+0(SB)/8, $"idem-pos"
DATA name<>+8(SB)/8, $"tgres\x00\x00\x00"
GLOBL name<>(SB), RODATA|NOPTR, $16

// BEGINS sets ZF if the string at SI begins with the first n bytes of a symbol.
#define BEGINS(symbol, n) \
	LEAQ symbol<>(SB), DI; MOVQ $n, CX; CALL idem_begins(SB)

// The registers: BX is the SP of the entry, R8 the next argument, R9 whether it is the value
// of --ledger, R10 whether IDEM_LEDGER was found, R11 whether it is a URL, R12 envp, and R13
// the next variable, at last the 0 after envp. A system call changes R11.
TEXT idem_sibling(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	MOVQ	SP, BX
	MOVQ	0(BX), AX // argc
	CMPQ	AX, $2
	JLT	start
	LEAQ	16(BX)(AX*8), R12
	LEAQ	16(BX), R8
	XORL	R9, R9
	XORL	R10, R10
	XORL	R11, R11

	MOVQ	(R8), SI
	BEGINS(helper, 6) // a process of idem's own, see Helper in package proc
	JEQ	start

	MOVQ	R12, R13
variable:
	MOVQ	(R13), SI
	TESTQ	SI, SI
	JEQ	argument
	ADDQ	$8, R13
	BEGINS(marker, 13) // the sibling has called this program
	JEQ	start
	TESTQ	R10, R10
	JNE	variable
	BEGINS(ledger, 12)
	JNE	variable
	MOVQ	$1, R10
	ADDQ	$12, SI
	CALL	idem_url(SB)
	JNE	variable
	MOVQ	$1, R11
	JMP	variable

argument:
	TESTQ	R11, R11
	JNE	become
	MOVQ	(R8), SI
	TESTQ	SI, SI
	JEQ	start
	ADDQ	$8, R8
	BEGINS(end, 3) // with the byte 0
	JEQ	start
	TESTQ	R9, R9
	JEQ	option
	CALL	idem_url(SB)
	JEQ	become
option:
	XORL	R9, R9
	BEGINS(flag, 9)
	JNE	value
	ADDQ	$9, SI
	CALL	idem_url(SB)
	JEQ	become
	JMP	argument
value:
	BEGINS(word, 9) // with the byte 0
	JNE	argument
	MOVQ	$1, R9
	JMP	argument

become:
	SUBQ	$(PATH_SIZE+16), SP
	MOVQ	$SYS_readlink, AX
	LEAQ	self<>(SB), DI
	MOVQ	SP, SI
	MOVQ	$PATH_SIZE, DX
	SYSCALL
	CMPQ	AX, $(PATH_SIZE-NAME_SIZE) // also an error, which is a great number
	JHI	restore
	CMPB	(SP), $0x2f // it does not begin with / if the kernel does not know it
	JNE	restore
directory:
	CMPB	-1(SP)(AX*1), $0x2f
	JEQ	execute
	DECQ	AX
	JMP	directory
execute:
	MOVQ	name<>+0(SB), DX
	MOVQ	DX, (SP)(AX*1)
	MOVQ	name<>+8(SB), DX
	MOVQ	DX, 8(SP)(AX*1)
	MOVQ	8(R13), R14
	LEAQ	marker<>(SB), DX
	MOVQ	DX, (R13)
	MOVQ	$0, 8(R13)
	MOVQ	$SYS_execve, AX
	MOVQ	SP, DI
	LEAQ	8(BX), SI
	MOVQ	R12, DX
	SYSCALL
	MOVQ	$0, (R13)
	MOVQ	R14, 8(R13)
restore:
	MOVQ	BX, SP
start:
	JMP	_rt0_amd64_linux(SB)

// idem_url sets ZF if the string at SI begins as the URL of a shared ledger, see IsShared in
// package drivers.
TEXT idem_url(SB),NOSPLIT|NOFRAME,$0
	BEGINS(short, 11)
	JEQ	done
	BEGINS(long, 13)
done:
	RET

// idem_begins sets ZF if the string at SI begins with the CX bytes at DI. CX is not 0. A
// string ends with a byte 0, so nothing behind it is read: the bytes at DI have no 0 but
// perhaps as the last. idem_begins changes AX and DX.
TEXT idem_begins(SB),NOSPLIT|NOFRAME,$0
	XORL	DX, DX
next:
	MOVB	(SI)(DX*1), AX
	CMPB	AX, (DI)(DX*1)
	JNE	differs
	INCQ	DX
	CMPQ	DX, CX
	JNE	next
differs:
	RET
