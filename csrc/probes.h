// Places where tracers can attach (USDT: perf, bpftrace, SystemTap), where the system has the header for them: a call
// begins and ends, and so does a thread's stretch of work. One that is not attached to costs a nop.
#pragma once

#if defined(__has_include)
#if __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
#define CYMBALS_PROBE(name, a, b)           \
    do {                                    \
        DTRACE_PROBE2(cymbals, name, a, b); \
    } while (0)
#endif
#endif
#ifndef CYMBALS_PROBE
#define CYMBALS_PROBE(name, a, b) ((void)(a), (void)(b))
#endif
