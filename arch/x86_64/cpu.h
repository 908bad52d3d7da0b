/* What C can't say about x86_64. */
#ifndef WF_ARCH_CPU_H
#define WF_ARCH_CPU_H

#include <stdint.h>

/* In a loop that waits for another processor to write. */
static inline void wf_cpu_relax(void) { __asm__ volatile("pause"); }

static inline void wf_cpu_prefetch(const void *p) { __builtin_prefetch(p, 1, 3); }

/* A counter that runs at a constant rate on one processor; about 9 ns. Only differences mean anything, in no fixed unit. */
static inline uint64_t wf_cpu_ticks(void)
{
	uint32_t low, high;
	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

/* A thread-local pointer, read anew at every use: volatile, so that neither the value nor the address of the variable outlives a
 * switch. (Initial-exec TLS: 8 bytes of the static surplus that every libc keeps for libraries that are opened late.) */
#ifdef __ELF__
#define WF_CPU_HAS_TLS_READ 1
#define wf_cpu_tls_read(symbol)                                                                    \
	__extension__({                                                                            \
		void *wf_value_;                                                                   \
		__asm__ volatile("movq " #symbol "@gottpoff(%%rip), %0\n\tmovq %%fs:(%0), %0"      \
				 : "=r"(wf_value_)                                                 \
				 :                                                                 \
				 : "memory");                                                      \
		wf_value_;                                                                         \
	})
#endif

#endif
