/* What C can't say about aarch64. */
#ifndef WF_ARCH_CPU_H
#define WF_ARCH_CPU_H

#include <stdint.h>

/* In a loop that waits for another processor to write. isb waits a little; yield is a no-op on most cores. */
static inline void wf_cpu_relax(void) { __asm__ volatile("isb" ::: "memory"); }

static inline void wf_cpu_prefetch(const void *p) { __builtin_prefetch(p, 1, 3); }

/* A counter that runs at a constant rate. Only differences mean anything, in no fixed unit. */
static inline uint64_t wf_cpu_ticks(void)
{
	uint64_t ticks;
	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
	return ticks;
}

/* A thread-local pointer, read anew at every use: volatile, so that neither the value nor the thread pointer outlives a switch
 * (compilers keep tpidr_el0 in a register over calls). Initial-exec TLS, as on x86_64. */
#ifdef __ELF__
#define WF_CPU_HAS_TLS_READ 1
#define wf_cpu_tls_read(symbol)                                                                    \
	__extension__({                                                                            \
		void *wf_value_;                                                                   \
		uintptr_t wf_scratch_;                                                             \
		__asm__ volatile("mrs %0, tpidr_el0\n\t"                                           \
				 "adrp %1, :gottprel:" #symbol "\n\t"                              \
				 "ldr %1, [%1, :gottprel_lo12:" #symbol "]\n\t"                    \
				 "ldr %0, [%0, %1]"                                                \
				 : "=&r"(wf_value_), "=&r"(wf_scratch_)                            \
				 :                                                                 \
				 : "memory");                                                      \
		wf_value_;                                                                         \
	})
#endif

#endif
