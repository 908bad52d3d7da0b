/* The frame that wf_ctx_switch leaves at the saved stack pointer, lowest address first:
 *
 *   sp +  0  r12          callee-saved registers of the System V ABI
 *        8  r13
 *       16  r14
 *       24  r15
 *       32  rbx
 *       40  rbp
 *       48  return address
 *       56  the caller's frame; sp + 56 was the stack pointer at the call plus 8
 *
 * MXCSR and the x87 control word are not in it: floating-point modes belong to the OS thread, as in Go (docs/caveats.md). */
#ifndef WF_ARCH_CTX_H
#define WF_ARCH_CTX_H

#define WF_CTX_R12 0
#define WF_CTX_R13 8
#define WF_CTX_R14 16
#define WF_CTX_R15 24
#define WF_CTX_RBX 32
#define WF_CTX_RBP 40
#define WF_CTX_PC 48
#define WF_CTX_SIZE 56

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

struct wf_ctx_frame {
	uintptr_t r12, r13, r14, r15, rbx, rbp, pc;
};

#define WF_CTX_AT(field, offset) \
	_Static_assert(offsetof(struct wf_ctx_frame, field) == (offset), "ctx.S and C disagree about " #field)
WF_CTX_AT(r12, WF_CTX_R12);
WF_CTX_AT(r13, WF_CTX_R13);
WF_CTX_AT(r14, WF_CTX_R14);
WF_CTX_AT(r15, WF_CTX_R15);
WF_CTX_AT(rbx, WF_CTX_RBX);
WF_CTX_AT(rbp, WF_CTX_RBP);
WF_CTX_AT(pc, WF_CTX_PC);
_Static_assert(sizeof(struct wf_ctx_frame) == WF_CTX_SIZE, "ctx.S and C disagree about the size");
#undef WF_CTX_AT

/* Frame pointer and program counter of a parked context, for walkers. */
static inline uintptr_t wf_ctx_fp(const struct wf_ctx_frame *f) { return f->rbp; }
static inline uintptr_t wf_ctx_pc(const struct wf_ctx_frame *f) { return f->pc; }
#endif

#endif
