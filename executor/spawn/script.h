// The layout of script and op, and the values in them; see script.go.
#define SCRIPT_FAILED	0
#define SCRIPT_RESULT	8
#define SCRIPT_ANSWER	16
#define REPORT_SIZE	16

#define OP_TRAP	0
#define OP_ARGS	8
#define OP_RULE	48
#define OP_WANT	56
#define OP_SIZE	64

#define RULE_MUST	1
#define RULE_EQUAL	2
#define RULE_ASK	3

#define SOCKET	3
#define FAILED_STATUS	127

#ifdef GOARCH_amd64
#define SYS_read	0
#define SYS_write	1
#define SYS_exit_group	231
#endif
#ifdef GOARCH_arm64
#define SYS_read	63
#define SYS_write	64
#define SYS_exit_group	94
#endif
