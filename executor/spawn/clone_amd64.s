#include "go_asm.h"
#include "textflag.h"

#define SYS_read	0
#define SYS_write	1
#define SYS_exit_group	231

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
	MOVQ	op_trap(R13), AX
	MOVQ	op_args(R13), DI
	MOVQ	(op_args+8)(R13), SI
	MOVQ	(op_args+16)(R13), DX
	MOVQ	(op_args+24)(R13), R10
	MOVQ	(op_args+32)(R13), R8
	SYSCALL
	MOVQ	op_rule(R13), BX
	CMPQ	BX, $const_ruleMust
	JEQ	must
	CMPQ	BX, $const_ruleEqual
	JEQ	equal
	CMPQ	BX, $const_ruleAsk
	JEQ	ask
next:
	ADDQ	$op__size, R13
	JMP	perform
must:
	CMPQ	AX, $-4095	// unsigned: what is not below is an errno
	JCS	next
	JMP	fail
equal:
	CMPQ	AX, op_want(R13)
	JEQ	next
fail:
	MOVQ	R13, (script_said+report_op)(R12)
	MOVQ	AX, (script_said+report_result)(R12)
	MOVQ	$SYS_write, AX
	MOVQ	$const_childSocket, DI
	LEAQ	(script_said+report_op)(R12), SI
	MOVQ	$report__size, DX
	SYSCALL
exit:
	MOVQ	$SYS_exit_group, AX
	MOVQ	$const_failedStatus, DI
	SYSCALL
	JMP	exit
ask:
	MOVQ	R13, (script_said+report_op)(R12)
	MOVQ	AX, (script_said+report_result)(R12)
	MOVQ	$SYS_write, AX
	MOVQ	$const_childSocket, DI
	LEAQ	(script_said+report_op)(R12), SI
	MOVQ	$report__size, DX
	SYSCALL
	MOVQ	$SYS_read, AX
	MOVQ	$const_childSocket, DI
	LEAQ	script_answer(R12), SI
	MOVQ	$1, DX
	SYSCALL
	CMPQ	AX, $1
	JNE	exit
	MOVBQZX	script_answer(R12), BX
	IMULQ	$op__size, BX
	ADDQ	BX, R13
	JMP	perform
