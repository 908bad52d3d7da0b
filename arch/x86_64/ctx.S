/* The context switch for x86_64, System V ABI; ELF and Mach-O. The frame is drawn in ctx.h.
 *
 * CFI: the canonical frame address is described for every move of the stack pointer. After the pointer is exchanged the same
 * description holds for the other stack, since every parked stack has the same frame. wf_ctx_start's frame on the new stack says
 * that the return address is undefined, which is where unwinders and debuggers end.
 *
 * Both routines leave by `ret`, so they would work under a shadow stack that is switched along with them; ours are not, so the
 * object claims IBT only. */
#include "ctx.h"

#ifdef __APPLE__
#define SYM(name) _##name
#define TYPE(name)
#define SIZE(name)
#define HIDDEN(name) .private_extern SYM(name)
#else
#define SYM(name) name
#define TYPE(name) .type name, @function
#define SIZE(name) .size name, . - name
#define HIDDEN(name) .hidden name
#endif

	.text

/* Pushes what ctx.h draws; r12 ends up lowest. */
.macro SAVE
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbp, 0
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbx, 0
	pushq	%r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r15, 0
	pushq	%r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r14, 0
	pushq	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r13, 0
	pushq	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r12, 0
.endm

/* void *wf_ctx_switch(wf_word *save rdi, void *to rsi, void *arg rdx) */
	.globl	SYM(wf_ctx_switch)
	HIDDEN(wf_ctx_switch)
	TYPE(wf_ctx_switch)
	.p2align 4
SYM(wf_ctx_switch):
	.cfi_startproc
	endbr64
	SAVE
	movq	%rsp, %rcx
	movq	%rsi, %rsp
	movq	%rcx, (%rdi)	/* a release, as every store: ctx.h */
	movq	%rdx, %rax
	popq	%r12
	.cfi_adjust_cfa_offset -8
	.cfi_restore r12
	popq	%r13
	.cfi_adjust_cfa_offset -8
	.cfi_restore r13
	popq	%r14
	.cfi_adjust_cfa_offset -8
	.cfi_restore r14
	popq	%r15
	.cfi_adjust_cfa_offset -8
	.cfi_restore r15
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbx
	popq	%rbp
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbp
	ret
	.cfi_endproc
	SIZE(wf_ctx_switch)

/* void *wf_ctx_start(wf_word *save rdi, void *top rsi, void *arg rdx, void (*entry)(void *) rcx) */
	.globl	SYM(wf_ctx_start)
	HIDDEN(wf_ctx_start)
	TYPE(wf_ctx_start)
	.p2align 4
SYM(wf_ctx_start):
	.cfi_startproc
	endbr64
	SAVE
	movq	%rsp, %r8
	movq	%rsi, %rsp
	movq	%r8, (%rdi)
	.cfi_undefined rip
	.cfi_undefined rbp
	xorl	%ebp, %ebp
	movq	%rdx, %rdi
	call	*%rcx		/* pushes 8: entry starts with rsp % 16 == 8, as after any call */
	ud2
	.cfi_endproc
	SIZE(wf_ctx_start)

/* void wf_ctx_look(const void *sp rdi, void (*fn)(void *) rsi, void *arg rdx)
 * Stays on the caller's stack; the frame that it describes to unwinders is the one at sp. */
	.globl	SYM(wf_ctx_look)
	HIDDEN(wf_ctx_look)
	TYPE(wf_ctx_look)
	.p2align 4
SYM(wf_ctx_look):
	.cfi_startproc
	endbr64
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbx, 0
	movq	%rdi, %rbx
	movq	%rdx, %rdi
	.cfi_remember_state
	.cfi_def_cfa rbx, WF_CTX_SIZE
	.cfi_rel_offset r12, WF_CTX_R12
	.cfi_rel_offset r13, WF_CTX_R13
	.cfi_rel_offset r14, WF_CTX_R14
	.cfi_rel_offset r15, WF_CTX_R15
	.cfi_rel_offset rbx, WF_CTX_RBX
	.cfi_rel_offset rbp, WF_CTX_RBP
	call	*%rsi
	.cfi_restore_state
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbx
	ret
	.cfi_endproc
	SIZE(wf_ctx_look)

#ifdef __ELF__
	.section .note.GNU-stack, "", @progbits

	/* NT_GNU_PROPERTY_TYPE_0: x86 feature IBT (bit 0) and not SHSTK (bit 1) */
	.section .note.gnu.property, "a"
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000002, 4, 1, 0
#endif
