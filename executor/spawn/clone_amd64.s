#include "go_asm.h"
#include "textflag.h"

#define SYS_rt_sigprocmask	14
#define SYS_exit_group	231
#define SIG_SETMASK	2

// func clone(trap, a1, a2, a3 uintptr, s *script, first *op) uintptr
TEXT ·clone(SB),NOSPLIT,$0-56
	MOVQ	s+32(FP), R12	// the kernel keeps these two
	MOVQ	first+40(FP), R13
	MOVQ	$SYS_rt_sigprocmask, AX
	MOVQ	$SIG_SETMASK, DI
	LEAQ	script_all(R12), SI
	LEAQ	script_before(R12), DX
	MOVQ	$8, R10
	SYSCALL
	MOVQ	trap+0(FP), AX
	MOVQ	a1+8(FP), DI
	MOVQ	a2+16(FP), SI
	MOVQ	a3+24(FP), DX
	MOVQ	$0, R10
	MOVQ	$0, R8
	SYSCALL
	TESTQ	AX, AX
	JEQ	perform
	MOVQ	AX, ret+48(FP)
	MOVQ	$SYS_rt_sigprocmask, AX
	MOVQ	$SIG_SETMASK, DI
	LEAQ	script_before(R12), SI
	MOVQ	$0, DX
	MOVQ	$8, R10
	SYSCALL
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
	MOVQ	script_said(R12), BX
	MOVQ	AX, report_result(BX)
	MOVQ	R13, report_op(BX)
exit:
	MOVQ	$SYS_exit_group, AX
	MOVQ	$const_failedStatus, DI
	SYSCALL
	JMP	exit
