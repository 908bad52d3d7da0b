/* The frame that wf_ctx_switch leaves at the saved stack pointer, lowest address first (AAPCS64):
 *
 *   sp +   0  x19 x20
 *        16  x21 x22
 *        32  x23 x24
 *        48  x25 x26
 *        64  x27 x28
 *        80  x29 x30      frame pointer, return address (signed where the build signs: pointer authentication)
 *        96  d8  d9       the callee-saved halves of v8-v15
 *       112  d10 d11
 *       128  d12 d13
 *       144  d14 d15
 *       160  the caller's frame; sp + 160 was the stack pointer at the call
 *
 * FPCR is not in it: floating-point modes belong to the OS thread, as in Go (docs/caveats.md). */
#ifndef WF_ARCH_CTX_H
#define WF_ARCH_CTX_H

#define WF_CTX_X19 0
#define WF_CTX_X21 16
#define WF_CTX_X23 32
#define WF_CTX_X25 48
#define WF_CTX_X27 64
#define WF_CTX_FP 80
#define WF_CTX_PC 88
#define WF_CTX_D8 96
#define WF_CTX_D10 112
#define WF_CTX_D12 128
#define WF_CTX_D14 144
#define WF_CTX_SIZE 160

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

struct wf_ctx_frame {
	uintptr_t x19, x20, x21, x22, x23, x24, x25, x26, x27, x28, fp, pc;
	uint64_t d8, d9, d10, d11, d12, d13, d14, d15;
};

#define WF_CTX_AT(field, offset) \
	_Static_assert(offsetof(struct wf_ctx_frame, field) == (offset), "ctx.S and C disagree about " #field)
WF_CTX_AT(x19, WF_CTX_X19);
WF_CTX_AT(x21, WF_CTX_X21);
WF_CTX_AT(x23, WF_CTX_X23);
WF_CTX_AT(x25, WF_CTX_X25);
WF_CTX_AT(x27, WF_CTX_X27);
WF_CTX_AT(fp, WF_CTX_FP);
WF_CTX_AT(pc, WF_CTX_PC);
WF_CTX_AT(d8, WF_CTX_D8);
WF_CTX_AT(d10, WF_CTX_D10);
WF_CTX_AT(d12, WF_CTX_D12);
WF_CTX_AT(d14, WF_CTX_D14);
_Static_assert(sizeof(struct wf_ctx_frame) == WF_CTX_SIZE, "ctx.S and C disagree about the size");
#undef WF_CTX_AT

/* Frame pointer and program counter of a parked context, for walkers. The signature of a signed return address is in its upper
 * bits, above a user address of 48. */
static inline uintptr_t wf_ctx_fp(const struct wf_ctx_frame *f) { return f->fp; }
static inline uintptr_t wf_ctx_pc(const struct wf_ctx_frame *f) { return f->pc & (((uintptr_t)1 << 48) - 1); }
#endif

#endif
