#include "textflag.h"

// idem_start is the entry point of a program that is linked with
// -ldflags=-E=idem_start. Without the flag, the runtime's entry point is used.
//
// Under a limit that is too low, Go's runtime would end the process before main,
// with a dump of its stacks and status 2. idem_start checks these limits first. If
// one is too low, it prints one line and exits with 69. Otherwise it jumps to
// idem_sibling, and that to the runtime's entry point.
//
// At entry, SP points to argc. The kernel defines no other register.

#define SYS_write      1
#define SYS_mmap       9
#define SYS_munmap     11
#define SYS_getrlimit  97
#define SYS_geteuid    107
#define SYS_exit_group 231

#define RLIMIT_DATA  2
#define RLIMIT_NPROC 6
#define RLIMIT_AS    9

#define MiB (1<<20)

// These are the sizes of address space that the runtime reserves
// (mpagealloc_64bit.go):
//
//   - SUMMARIES: the summaries of all pages that it might ever have
//   - INDEX: an index of 512 MiB, if there is room for it
//   - HEAP: the first part of its heap, and the map of that part
//
// The numbers are on the safe side where the index just fits. HEAP includes the
// space that Fit in package proc checks for.
#define SUMMARIES (586*MiB)
#define INDEX     (504*MiB)
#define HEAP      (196*MiB)

// DATA_SIZE is how much of this memory is written to before main, and a little more.
#define DATA_SIZE (84*MiB)

// MAP maps n bytes and leaves the address in AX, or an error (-4095 to -1).
#define MAP(n, prot) \
	MOVQ $SYS_mmap, AX; MOVQ $0, DI; MOVQ $n, SI; MOVQ $prot, DX; MOVQ $0x22, R10; MOVQ $-1, R8; MOVQ $0, R9; SYSCALL

#define UNMAP(at, n) \
	MOVQ at, DI; MOVQ $SYS_munmap, AX; MOVQ $n, SI; SYSCALL

// LIMIT leaves a limit in BX, or -1 (no limit) if it cannot be read.
#define LIMIT(which) \
	MOVQ $-1, BX; MOVQ BX, 0(SP); MOVQ $SYS_getrlimit, AX; MOVQ $which, DI; MOVQ SP, SI; SYSCALL; MOVQ 0(SP), BX

TEXT idem_start(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	SUBQ	$32, SP

	LIMIT(RLIMIT_AS)
	CMPQ	BX, $0x7fffffff
	JHI	data
	MAP(SUMMARIES, 0)
	CMPQ	AX, $-4095
	JCC	nospace
	MOVQ	AX, R12
	MAP(INDEX, 0)
	MOVQ	AX, R13
	MAP(HEAP, 0)
	CMPQ	AX, $-4095
	JCC	nospace
	UNMAP(AX, HEAP)
	UNMAP(R12, SUMMARIES)
	CMPQ	R13, $-4095
	JCC	data
	UNMAP(R13, INDEX)

data:
	LIMIT(RLIMIT_DATA)
	CMPQ	BX, $0x7fffffff
	JHI	processes
	MAP(DATA_SIZE, 3)
	CMPQ	AX, $-4095
	JCC	nodata
	UNMAP(AX, DATA_SIZE)

processes:
	LIMIT(RLIMIT_NPROC)
	CMPQ	BX, $4
	JHI	start
	MOVQ	$SYS_geteuid, AX
	SYSCALL
	TESTQ	AX, AX // root is exempt from this limit
	JNE	noprocess

start:
	ADDQ	$32, SP
	JMP	idem_sibling(SB)

nospace:
	MOVQ	·noSpace+0(SB), SI
	MOVQ	·noSpace+8(SB), DX
	JMP	refuse

nodata:
	MOVQ	·noData+0(SB), SI
	MOVQ	·noData+8(SB), DX
	JMP	refuse

noprocess:
	MOVQ	·noProcess+0(SB), SI
	MOVQ	·noProcess+8(SB), DX

refuse:
	MOVQ	$SYS_write, AX
	MOVQ	$2, DI
	SYSCALL
	MOVQ	$SYS_exit_group, AX
	MOVQ	$69, DI // exitLedger
	SYSCALL
	INT	$3
