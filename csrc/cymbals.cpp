// The version, the compiler, the messages of statuses, and the table of functions.

#include "cymbals/cymbals.h"

extern "C" int32_t cymbals_abi_version(void) { return CYMBALS_ABI_VERSION; }

extern "C" const char *cymbals_version(void) { return CYMBALS_VERSION; }

extern "C" const char *cymbals_compiler(void) {
#if defined(__clang__)
    return "clang " __clang_version__;
#else
    return "gcc " __VERSION__;
#endif
}

extern "C" const char *cymbals_status_message(int32_t status) {
    switch (status) {
        case CYMBALS_OK:
            return "success";
        case CYMBALS_BAD_ARGUMENT:
            return "bad argument: a null pointer, a negative size, an unknown type or option, or a workspace in use";
        case CYMBALS_NO_MEMORY:
            return "out of memory";
        case CYMBALS_NO_SIMD:
            return "the instruction set asked for is unknown, not built in, or not on this machine";
        case CYMBALS_INDEFINITE:
            return "a row's system is not positive definite";
        case CYMBALS_BAD_VALUE:
            return "a solution or a matrix is not finite";
        case CYMBALS_CANCELLED:
            return "cancelled by the progress function";
        case CYMBALS_TOO_HEAVY:
            return "the sum of a row's weighted targets is too large for the factors' type";
        case CYMBALS_BAD_INDEX:
            return "a row has an index that is not a row of the fixed side";
        default:
            return "unknown status";
    }
}

extern "C" const cymbals_api *cymbals_functions(void) {
#define CYMBALS_ADDRESS(name) cymbals_##name,
    static const cymbals_api functions = {sizeof(cymbals_api), CYMBALS_ABI_VERSION, CYMBALS_FUNCTIONS(CYMBALS_ADDRESS)};
#undef CYMBALS_ADDRESS
    return &functions;
}
