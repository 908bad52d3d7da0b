/* The context switch for aarch64, AAPCS64; ELF and Mach-O. The frame is drawn in ctx.h.
 *
 * CFI: the canonical frame address is described for every move of the stack pointer. After the pointer is exchanged the same
 * description holds for the other stack, since every parked stack has the same frame. wf_ctx_start's frame on the new stack says
 * that the return address is undefined, which is where unwinders and debuggers end.
 *
 * Pointer authentication: paciasp is the first and autiasp the last act, at the same stack pointer, so the signature fits again
 * when the context goes on. Both are hints that older processors skip; paciasp is also a landing pad for BTI. No return address
 * is ever forged: a new stack is entered by blr. */
#include "ctx.h"

#ifdef __APPLE__
#define SYM(name) _##name
#define TYPE(name)
#define SIZE(name)
#define HIDDEN(name) .private_extern SYM(name)
#else
#define SYM(name) name
#define TYPE(name) .type name, %function
#define SIZE(name) .size name, . - name
#define HIDDEN(name) .hidden name
#endif

	.text

.macro SAVE
	hint	#25			/* paciasp */
	.cfi_negate_ra_state
	sub	sp, sp, #WF_CTX_SIZE
	.cfi_adjust_cfa_offset WF_CTX_SIZE
	stp	x19, x20, [sp, #WF_CTX_X19]
	.cfi_rel_offset x19, WF_CTX_X19
	.cfi_rel_offset x20, WF_CTX_X19 + 8
	stp	x21, x22, [sp, #WF_CTX_X21]
	.cfi_rel_offset x21, WF_CTX_X21
	.cfi_rel_offset x22, WF_CTX_X21 + 8
	stp	x23, x24, [sp, #WF_CTX_X23]
	.cfi_rel_offset x23, WF_CTX_X23
	.cfi_rel_offset x24, WF_CTX_X23 + 8
	stp	x25, x26, [sp, #WF_CTX_X25]
	.cfi_rel_offset x25, WF_CTX_X25
	.cfi_rel_offset x26, WF_CTX_X25 + 8
	stp	x27, x28, [sp, #WF_CTX_X27]
	.cfi_rel_offset x27, WF_CTX_X27
	.cfi_rel_offset x28, WF_CTX_X27 + 8
	stp	x29, x30, [sp, #WF_CTX_FP]
	.cfi_rel_offset x29, WF_CTX_FP
	.cfi_rel_offset x30, WF_CTX_PC
	stp	d8, d9, [sp, #WF_CTX_D8]
	stp	d10, d11, [sp, #WF_CTX_D10]
	stp	d12, d13, [sp, #WF_CTX_D12]
	stp	d14, d15, [sp, #WF_CTX_D14]
.endm

/* To the stack at x1; then, and not before, what was left is there for others: ctx.h. */
.macro LEAVE
	mov	x9, sp
	mov	sp, x1
	stlr	x9, [x0]
.endm

/* void *wf_ctx_switch(wf_word *save x0, void *to x1, void *arg x2) */
	.globl	SYM(wf_ctx_switch)
	HIDDEN(wf_ctx_switch)
	TYPE(wf_ctx_switch)
	.p2align 4
SYM(wf_ctx_switch):
	.cfi_startproc
	SAVE
	LEAVE
	mov	x0, x2
	ldp	x19, x20, [sp, #WF_CTX_X19]
	ldp	x21, x22, [sp, #WF_CTX_X21]
	ldp	x23, x24, [sp, #WF_CTX_X23]
	ldp	x25, x26, [sp, #WF_CTX_X25]
	ldp	x27, x28, [sp, #WF_CTX_X27]
	ldp	x29, x30, [sp, #WF_CTX_FP]
	ldp	d8, d9, [sp, #WF_CTX_D8]
	ldp	d10, d11, [sp, #WF_CTX_D10]
	ldp	d12, d13, [sp, #WF_CTX_D12]
	ldp	d14, d15, [sp, #WF_CTX_D14]
	.cfi_restore x19
	.cfi_restore x20
	.cfi_restore x21
	.cfi_restore x22
	.cfi_restore x23
	.cfi_restore x24
	.cfi_restore x25
	.cfi_restore x26
	.cfi_restore x27
	.cfi_restore x28
	.cfi_restore x29
	.cfi_restore x30
	add	sp, sp, #WF_CTX_SIZE
	.cfi_adjust_cfa_offset -WF_CTX_SIZE
	hint	#29			/* autiasp */
	.cfi_negate_ra_state
	ret
	.cfi_endproc
	SIZE(wf_ctx_switch)

/* void *wf_ctx_start(wf_word *save x0, void *top x1, void *arg x2, void (*entry)(void *) x3) */
	.globl	SYM(wf_ctx_start)
	HIDDEN(wf_ctx_start)
	TYPE(wf_ctx_start)
	.p2align 4
SYM(wf_ctx_start):
	.cfi_startproc
	SAVE
	LEAVE
	.cfi_undefined x30
	.cfi_undefined x29
	mov	x29, xzr
	mov	x30, xzr
	mov	x0, x2
	blr	x3
	brk	#1
	.cfi_endproc
	SIZE(wf_ctx_start)

/* void wf_ctx_look(const void *sp x0, void (*fn)(void *) x1, void *arg x2)
 * Stays on the caller's stack; the frame that it describes to unwinders is the one at sp. */
	.globl	SYM(wf_ctx_look)
	HIDDEN(wf_ctx_look)
	TYPE(wf_ctx_look)
	.p2align 4
SYM(wf_ctx_look):
	.cfi_startproc
	hint	#25			/* paciasp */
	.cfi_negate_ra_state
	stp	x29, x30, [sp, #-32]!
	.cfi_adjust_cfa_offset 32
	.cfi_rel_offset x29, 0
	.cfi_rel_offset x30, 8
	str	x19, [sp, #16]
	.cfi_rel_offset x19, 16
	mov	x29, sp
	mov	x19, x0
	mov	x0, x2
	.cfi_remember_state
	.cfi_def_cfa x19, WF_CTX_SIZE
	.cfi_rel_offset x19, WF_CTX_X19
	.cfi_rel_offset x20, WF_CTX_X19 + 8
	.cfi_rel_offset x21, WF_CTX_X21
	.cfi_rel_offset x22, WF_CTX_X21 + 8
	.cfi_rel_offset x23, WF_CTX_X23
	.cfi_rel_offset x24, WF_CTX_X23 + 8
	.cfi_rel_offset x25, WF_CTX_X25
	.cfi_rel_offset x26, WF_CTX_X25 + 8
	.cfi_rel_offset x27, WF_CTX_X27
	.cfi_rel_offset x28, WF_CTX_X27 + 8
	.cfi_rel_offset x29, WF_CTX_FP
	.cfi_rel_offset x30, WF_CTX_PC
	blr	x1
	.cfi_restore_state
	ldr	x19, [sp, #16]
	.cfi_restore x19
	ldp	x29, x30, [sp], #32
	.cfi_adjust_cfa_offset -32
	.cfi_restore x29
	.cfi_restore x30
	hint	#29			/* autiasp */
	.cfi_negate_ra_state
	ret
	.cfi_endproc
	SIZE(wf_ctx_look)

#ifdef __ELF__
	.section .note.GNU-stack, "", %progbits

	/* NT_GNU_PROPERTY_TYPE_0: AArch64 features BTI (bit 0) and PAC (bit 1) */
	.section .note.gnu.property, "a"
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000000, 4, 3, 0
#endif
