// SSE2 on x86-64, NEON on arm64.
#define CYMBALS_SET baseline
#define CYMBALS_BYTES 16
#if defined(__aarch64__)
#define CYMBALS_REGISTERS 32
#else
#define CYMBALS_REGISTERS 16
#endif
#include "table.inl"
