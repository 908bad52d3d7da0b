/* The only file that names an architecture. Each folder holds the same files with the same symbols:
 *   ctx.h   the frame that a switch leaves on the stack, as offsets for C and assembly
 *   ctx.S   the switch
 *   cpu.h   pause, prefetch, a cheap counter, the thread pointer */
#ifndef WF_ARCH_H
#define WF_ARCH_H

#if defined(__x86_64__)
#include "x86_64/cpu.h"
#include "x86_64/ctx.h"
#elif defined(__aarch64__)
#include "aarch64/cpu.h"
#include "aarch64/ctx.h"
#else
#error "weft runs on x86_64 and aarch64"
#endif

#endif
