// Groups events by ranges of their rows: a stable counting sort that moves several fields of each event.

#include "bucket.h"

namespace cymbals {
namespace {

constexpr int32_t kMostFields = 4;

struct Field {
    const void *from;
    void *to;
    bool wide;  // 8 bytes, else 4
};

template <class Key>
int32_t group(int64_t n, int64_t n_groups, int64_t *begins, const Field *fields, int32_t n_fields, ApiCall &call,
              Key key) {
    double bytes = 4;
    for (int32_t f = 0; f < n_fields; f++) bytes += fields[f].wide ? 16 : 8;
    const Field *const end = fields + n_fields;
    return bucket_sort(n, n_groups, begins, call, bytes, key, [=](int64_t from, int64_t to) {
        for (const Field *field = fields; field < end; field++) {
            if (field->wide)
                static_cast<int64_t *>(field->to)[to] = static_cast<const int64_t *>(field->from)[from];
            else
                static_cast<int32_t *>(field->to)[to] = static_cast<const int32_t *>(field->from)[from];
        }
    });
}

}  // namespace
}  // namespace cymbals

extern "C" int32_t cymbals_group(cymbals_workspace *workspace, int64_t n, const int32_t *rows, int32_t shift,
                                 int64_t first, int64_t n_rows, const int32_t *table, int64_t n_groups, int64_t *begins,
                                 int32_t n_fields, const void *const *fields, void *const *grouped,
                                 const int32_t *bytes) {
    using namespace cymbals;
    ApiCall call(workspace, CYMBALS_PHASE_OTHER);
    if (!call.ready() || !call.between("n", n, 0) || !call.between("shift", shift, 0, 31) ||
        !call.between("n_rows", n_rows, 0) || !call.between("n_groups", n_groups, 0) ||
        !call.between("n_fields", n_fields, 0, kMostFields) || !call.not_null("begins", begins) ||
        !call.require(n == 0 || rows, "rows is null") ||
        !call.require(n_fields == 0 || (fields && grouped && bytes), "fields, grouped or bytes is null"))
        return CYMBALS_BAD_ARGUMENT;
    Field moved[kMostFields];
    for (int32_t f = 0; f < n_fields; f++) {
        if (!call.require(bytes[f] == 4 || bytes[f] == 8, "bytes[%d] is %d, not 4 or 8", (int)f, (int)bytes[f]) ||
            !call.require(n == 0 || (fields[f] && grouped[f]), "fields[%d] or grouped[%d] is null", (int)f, (int)f))
            return CYMBALS_BAD_ARGUMENT;
        moved[f] = {fields[f], grouped[f], bytes[f] == 8};
    }
    int32_t least = INT32_MAX, most = INT32_MIN;
#pragma omp parallel for schedule(static) num_threads(call.threads()) reduction(min : least) reduction(max : most)
    for (int64_t i = 0; i < n; i++) {
        least = std::min(least, rows[i]);
        most = std::max(most, rows[i]);
    }
    bool inside = true;
    if (n > 0 && table) {
        inside = least >= 0 && most < n_rows;
        for (int64_t r = 0; inside && r < n_rows; r++) inside = table[r] >= 0 && table[r] < n_groups;
    } else if (n > 0) {
        inside = (least >> shift) - first >= 0 && (most >> shift) - first < n_groups;
    }
    if (!call.require(inside, "rows: the group of one is outside [0, n_groups)")) return CYMBALS_BAD_ARGUMENT;
    if (table)
        return call.end(
            group(n, n_groups, begins, moved, n_fields, call, [=](int64_t i) { return (int64_t)table[rows[i]]; }));
    return call.end(group(n, n_groups, begins, moved, n_fields, call,
                          [=](int64_t i) { return ((int64_t)rows[i] >> shift) - first; }));
}
