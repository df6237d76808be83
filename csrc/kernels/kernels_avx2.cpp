// AVX2 with FMA; empty unless the compiler is told to use them.
#if defined(__AVX2__) && defined(__FMA__)
#define CYMBALS_SET avx2
#define CYMBALS_BYTES 32
#define CYMBALS_REGISTERS 16
#include "table.inl"
#endif
