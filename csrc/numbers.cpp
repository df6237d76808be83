// Lines of whole numbers, as play-count dumps have them: every good line is taken, every bad one is counted by reason.
// The text is cut at line ends into as many pieces as there are threads.

#include <algorithm>
#include <cstring>
#include <utility>

#include "common.h"

namespace cymbals {
namespace {

constexpr int32_t kMostFields = 16, kMostPieces = 256;

struct Piece {
    const char *begin, *end;
    int64_t lines, first_row,
        good;  // lines with the blank ones, the row of the output it starts at, and how many it took
    int64_t first_line;
    int64_t rejected[CYMBALS_LINE_REASONS], first_rejected[CYMBALS_LINE_REASONS];
};

inline bool blank(char c) { return c == ' ' || c == '\t'; }

// One line without its end: 0 and the numbers, or the reason against it, or -1 for a line of blanks.
int32_t parse_line(const char *at, const char *end, int32_t n_fields, int64_t *numbers) {
    if (end > at && end[-1] == '\r') end--;
    while (end > at && blank(end[-1])) end--;
    while (at < end && blank(*at)) at++;
    if (at == end) return -1;
    int32_t reason = 0, field = 0;
    for (; at < end; field++) {
        const bool minus = *at == '-';
        at += minus || *at == '+';
        uint64_t value = 0;
        int32_t digits = 0;
        bool overflow = false;
        for (; at < end && *at >= '0' && *at <= '9'; at++, digits++) {
            overflow |= value > (uint64_t)(INT64_MAX - (*at - '0')) / 10;
            value = value * 10 + (uint64_t)(*at - '0');
        }
        const bool number = digits > 0 && (at == end || blank(*at));
        if (!number) {
            reason = reason ? reason : CYMBALS_LINE_NUMBER;
            while (at < end && !blank(*at)) at++;
        } else if (minus && value > 0) {
            reason = reason ? reason : CYMBALS_LINE_NEGATIVE;
        } else if (overflow) {
            reason = reason ? reason : CYMBALS_LINE_RANGE;
        }
        if (field < n_fields) numbers[field] = (int64_t)value;
        while (at < end && blank(*at)) at++;
    }
    return field != n_fields ? CYMBALS_LINE_FIELDS : reason;
}

void parse_piece(Piece &piece, int32_t n_fields, int64_t *numbers) {
    int64_t line = piece.first_line;
    int64_t *to = numbers + piece.first_row * n_fields;
    for (const char *at = piece.begin; at < piece.end; line++) {
        const char *stop = static_cast<const char *>(std::memchr(at, '\n', piece.end - at));
        if (!stop) stop = piece.end;
        int64_t fields[kMostFields];
        const int32_t reason = parse_line(at, stop, n_fields, fields);
        if (reason == 0) {
            to = std::copy_n(fields, n_fields, to);
            piece.good++;
        } else if (reason > 0 && piece.rejected[reason]++ == 0) {
            piece.first_rejected[reason] = line;
        }
        at = stop + 1;
    }
}

}  // namespace
}  // namespace cymbals

extern "C" int32_t cymbals_parse_numbers(const char *text, int64_t size, int32_t n_fields, int64_t *n_lines,
                                         int64_t *numbers, int64_t *n_good, int64_t rejected[CYMBALS_LINE_REASONS],
                                         int64_t first_rejected[CYMBALS_LINE_REASONS], int32_t n_threads) {
    using namespace cymbals;
    if ((!text && size > 0) || size < 0 || n_fields < 1 || n_fields > kMostFields || !n_lines || n_threads < 1 ||
        (numbers && (!n_good || !rejected || !first_rejected)))
        return CYMBALS_BAD_ARGUMENT;
    const int32_t n_pieces = std::min(n_threads, kMostPieces);
    Piece pieces[kMostPieces] = {};
    const char *end = text + size, *begin = text;
    for (int32_t p = 0; p < n_pieces; p++) {
        const char *stop = p + 1 == n_pieces ? end : std::max(begin, text + size / n_pieces * (p + 1));
        const char *newline = stop < end ? static_cast<const char *>(std::memchr(stop, '\n', end - stop)) : nullptr;
        pieces[p].begin = begin;
        pieces[p].end = begin = newline ? newline + 1 : end;
    }
#pragma omp parallel for schedule(static, 1) num_threads(n_threads)
    for (int32_t p = 0; p < n_pieces; p++)
        pieces[p].lines = std::count(pieces[p].begin, pieces[p].end, '\n') +
                          (pieces[p].end > pieces[p].begin && pieces[p].end[-1] != '\n');
    const int64_t room = *n_lines;
    *n_lines = 0;
    for (int32_t p = 0; p < n_pieces; p++) {
        pieces[p].first_row = *n_lines;
        pieces[p].first_line = *n_lines + 1;
        *n_lines += pieces[p].lines;
    }
    if (!numbers) return CYMBALS_OK;
    if (room < *n_lines) return CYMBALS_BAD_ARGUMENT;
#pragma omp parallel for schedule(static, 1) num_threads(n_threads)
    for (int32_t p = 0; p < n_pieces; p++) parse_piece(pieces[p], n_fields, numbers);
    *n_good = 0;
    std::fill_n(rejected, CYMBALS_LINE_REASONS, int64_t(0));
    std::fill_n(first_rejected, CYMBALS_LINE_REASONS, int64_t(0));
    for (int32_t p = 0; p < n_pieces; p++) {
        const int64_t *from = numbers + pieces[p].first_row * n_fields;
        std::copy(from, from + pieces[p].good * n_fields, numbers + *n_good * n_fields);  // to the left, or nowhere
        *n_good += pieces[p].good;
        for (int32_t reason = 0; reason < CYMBALS_LINE_REASONS; reason++) {
            rejected[reason] += pieces[p].rejected[reason];
            if (first_rejected[reason] == 0) first_rejected[reason] = pieces[p].first_rejected[reason];
        }
    }
    return CYMBALS_OK;
}
