// Independent normal numbers from a counter-based generator. A row's numbers depend on the key, the stream and the
// number of the row alone, so any thread or machine can draw any rows.
//
// Philox4x32-10 (Salmon et al. 2011) turns a counter and a key into four 32-bit words. The counter is (group, stream,
// row), where a group is four consecutive columns. Box and Muller (1958) make two normal numbers of two words.
// Everything is computed in float32, and without functions of the C library. So the numbers are the same with every
// instruction set of an architecture, and compilers can use vector instructions.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "workspace.h"

namespace cymbals {
namespace {

constexpr int kWords = 4;
constexpr int64_t kGroups = 64;  // groups that are drawn together
constexpr int64_t kRows = 256;   // rows that a thread takes at a time
using Words = uint32_t[kGroups];
using Numbers = float[kGroups];

void philox(Words *counter, uint64_t key) {
    uint32_t first = (uint32_t)key, second = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++, first += 0x9E3779B9u, second += 0xBB67AE85u) {
        for (int64_t i = 0; i < kGroups; i++) {
            const uint64_t a = (uint64_t)counter[0][i] * 0xD2511F53u, b = (uint64_t)counter[2][i] * 0xCD9E8D57u;
            counter[0][i] = (uint32_t)(b >> 32) ^ counter[1][i] ^ first;
            counter[2][i] = (uint32_t)(a >> 32) ^ counter[3][i] ^ second;
            counter[1][i] = (uint32_t)b;
            counter[3][i] = (uint32_t)a;
        }
    }
}

template <class To, class From>
inline To bits_as(From from) {
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}

// The natural logarithm of a normal number above 0, to about 1e-7: the polynomial of the Cephes library (Moshier 1989).
inline float logarithm(float u) {
    const int32_t bits = bits_as<int32_t>(u);
    // u = m 2^e, where m is from sqrt(1/2) to sqrt(2)
    const int32_t e = (bits - 0x3f3504f3) >> 23;
    const float x = bits_as<float>(bits - e * (1 << 23)) - 1, z = x * x;
    float p = 7.0376836292e-2f;
    for (float c : {-1.1514610310e-1f, 1.1676998740e-1f, -1.2420140846e-1f, 1.4249322787e-1f, -1.6668057665e-1f,
                    2.0000714765e-1f, -2.4999993993e-1f, 3.3333331174e-1f})
        p = p * x + c;
    return x + x * z * p - 0.5f * z + 0.693147181f * (float)e;
}

// Replaces the words u and v by two independent normal numbers.
void normal(const Words &u, const Words &v, Numbers &one, Numbers &other) {
    for (int64_t i = 0; i < kGroups; i++) {
        // Uniform in (0, 1]: 31 bits and a half, so that small numbers are finely spaced.
        const float uniform = ((float)(int32_t)(u[i] >> 1) + 0.5f) * 0x1p-31f;
        const float radius = std::sqrt(std::max(-2 * logarithm(uniform), 0.0f));
        // The angle: the upper two bits choose a quarter of the circle, the others are an angle of -pi/4 to pi/4.
        const float t = (float)((int32_t)(v[i] << 2) >> 2) * (0x1p-30f * 1.57079632679f), z = t * t;
        const float sine = t + t * z * (-1.6666654611e-1f + z * (8.3321608736e-3f + z * -1.9515295891e-4f));
        const float cosine =
            1 - 0.5f * z + z * z * (4.166664568298827e-2f + z * (-1.388731625493765e-3f + z * 2.443315711809948e-5f));
        const uint32_t quarter = v[i] >> 30, odd = 0u - (quarter & 1);
        const uint32_t s = bits_as<uint32_t>(sine), c = bits_as<uint32_t>(cosine);
        const uint32_t x = (c & ~odd) | (s & odd), y = (s & ~odd) | (c & odd);
        one[i] = radius * bits_as<float>(x ^ ((quarter + 1) >> 1 & 1) << 31);
        other[i] = radius * bits_as<float>(y ^ (quarter >> 1) << 31);
    }
}

// Draws rows begin to end - 1 of the matrix; row 0 has the number first_row.
template <class T>
void draw(uint64_t key, int32_t stream, int64_t first_row, T scale, const cymbals_matrix &matrix, int64_t begin,
          int64_t end) {
    const int64_t f = matrix.n_cols;
    alignas(64) Words words[kWords];
    alignas(64) Numbers numbers[kWords];
    int64_t row = begin, column = 0;  // of the next group to be drawn
    while (row < end) {
        int64_t next_row = row, next_column = column;
        for (int64_t i = 0; i < kGroups; i++) {
            const uint64_t number = (uint64_t)(first_row + next_row);
            words[0][i] = (uint32_t)(next_column / kWords), words[1][i] = (uint32_t)stream;
            words[2][i] = (uint32_t)number, words[3][i] = (uint32_t)(number >> 32);
            if ((next_column += kWords) >= f) next_column = 0, next_row++;
        }
        philox(words, key);
        normal(words[0], words[1], numbers[0], numbers[1]);
        normal(words[2], words[3], numbers[2], numbers[3]);
        for (int64_t i = 0; i < kGroups && row < end; i++) {
            T *const to = row_of<T>(matrix, row) + column;
            for (int64_t k = 0; k < std::min<int64_t>(kWords, f - column); k++) to[k] = (T)numbers[k][i] * scale;
            if ((column += kWords) >= f) column = 0, row++;
        }
    }
}

}  // namespace
}  // namespace cymbals

extern "C" int32_t cymbals_draw_normal(cymbals_workspace *workspace, uint64_t key, int32_t stream, int64_t first_row,
                                       double scale, cymbals_matrix *matrix) {
    using namespace cymbals;
    ApiCall call(workspace, CYMBALS_PHASE_OTHER);
    if (!call.ready() || !call.between("stream", stream, 0) ||
        !call.between("first_row", first_row, 0, INT64_MAX / 2) ||
        !call.require(std::isfinite(scale), "scale is %g: it must be finite", scale) || !call.matrix("matrix", matrix))
        return CYMBALS_BAD_ARGUMENT;
    call.threads(20.0 * (double)matrix->n_rows * (double)matrix->n_cols);
    return call.end(with_float(matrix->type, [&](auto zero) {
        using T = decltype(zero);
#pragma omp parallel for schedule(static) num_threads(call.threads())
        for (int64_t begin = 0; begin < matrix->n_rows; begin += kRows)
            draw(key, stream, first_row, (T)scale, *matrix, begin, std::min(begin + kRows, matrix->n_rows));
        return (int32_t)CYMBALS_OK;
    }));
}
