// AVX-512 F, DQ, VL and BW; empty unless the compiler is told to use them.
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512VL__) && defined(__AVX512BW__)
#define CYMBALS_SET avx512
#define CYMBALS_BYTES 64
#define CYMBALS_REGISTERS 32
#include "table.inl"
#endif
