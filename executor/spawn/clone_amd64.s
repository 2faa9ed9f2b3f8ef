#include "textflag.h"
#include "script.h"

// func clone(trap, a1, a2, a3 uintptr, s *script, first *op) uintptr
TEXT ·clone(SB),NOSPLIT,$0-56
	MOVQ	trap+0(FP), AX
	MOVQ	a1+8(FP), DI
	MOVQ	a2+16(FP), SI
	MOVQ	a3+24(FP), DX
	MOVQ	s+32(FP), R12	// the kernel keeps these two
	MOVQ	first+40(FP), R13
	MOVQ	$0, R10
	MOVQ	$0, R8
	SYSCALL
	TESTQ	AX, AX
	JEQ	perform
	MOVQ	AX, ret+48(FP)
	RET

	// The child: no stack, no Go.
perform:
	MOVQ	OP_TRAP(R13), AX
	MOVQ	OP_ARGS(R13), DI
	MOVQ	(OP_ARGS+8)(R13), SI
	MOVQ	(OP_ARGS+16)(R13), DX
	MOVQ	(OP_ARGS+24)(R13), R10
	MOVQ	(OP_ARGS+32)(R13), R8
	SYSCALL
	MOVQ	OP_RULE(R13), BX
	CMPQ	BX, $RULE_MUST
	JEQ	must
	CMPQ	BX, $RULE_EQUAL
	JEQ	equal
	CMPQ	BX, $RULE_ASK
	JEQ	ask
next:
	ADDQ	$OP_SIZE, R13
	JMP	perform
must:
	CMPQ	AX, $-4095	// unsigned: what is not below is an errno
	JCS	next
	JMP	fail
equal:
	CMPQ	AX, OP_WANT(R13)
	JEQ	next
fail:
	MOVQ	R13, SCRIPT_FAILED(R12)
	MOVQ	AX, SCRIPT_RESULT(R12)
	MOVQ	$SYS_write, AX
	MOVQ	$SOCKET, DI
	LEAQ	SCRIPT_FAILED(R12), SI
	MOVQ	$REPORT_SIZE, DX
	SYSCALL
exit:
	MOVQ	$SYS_exit_group, AX
	MOVQ	$FAILED_STATUS, DI
	SYSCALL
	JMP	exit
ask:
	MOVQ	R13, SCRIPT_FAILED(R12)
	MOVQ	AX, SCRIPT_RESULT(R12)
	MOVQ	$SYS_write, AX
	MOVQ	$SOCKET, DI
	LEAQ	SCRIPT_FAILED(R12), SI
	MOVQ	$REPORT_SIZE, DX
	SYSCALL
	MOVQ	$SYS_read, AX
	MOVQ	$SOCKET, DI
	LEAQ	SCRIPT_ANSWER(R12), SI
	MOVQ	$1, DX
	SYSCALL
	CMPQ	AX, $1
	JNE	exit
	MOVBQZX	SCRIPT_ANSWER(R12), BX
	IMULQ	$OP_SIZE, BX
	ADDQ	BX, R13
	JMP	perform
