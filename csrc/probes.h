// USDT probes, to which tracers attach (perf, bpftrace, SystemTap): at the begin and the end of each call and of each
// span. They need the system's header sys/sdt.h. A probe without a tracer costs a nop.
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
