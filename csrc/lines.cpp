// Parses lines of whole numbers, and lines of an id and a name, as play-count dumps have them. Good lines are written
// to the output; bad ones are counted by reason. The text is cut at line ends into one piece for each thread.

#include <algorithm>
#include <cstring>
#include <utility>

#include "workspace.h"

namespace cymbals {
namespace {

constexpr int32_t kMostFields = 16, kMostPieces = 256;
constexpr int64_t kMostDigits = 18;  // the most digits of a number that parse_usual reads

struct Piece {
    const char *begin, *end;
    int64_t lines;      // blank lines included
    int64_t first_row;  // position in the output of the piece's first good line
    int64_t good;       // lines parsed
    int64_t first_line;
    int64_t rejected[CYMBALS_LINE_REASONS], first_rejected[CYMBALS_LINE_REASONS];
};

inline bool blank(char c) { return c == ' ' || c == '\t'; }

// Parses the most common kind of line: numbers of at most 18 digits with one blank between them. Returns where the next
// line begins; null if this line is of another kind. There must be a line end at or after `at`.
inline const char *parse_usual(const char *at, int32_t n_fields, int64_t *numbers) {
    for (int32_t field = 0; field < n_fields; field++) {
        const char *begin = at;
        uint64_t value = 0;  // overflows if there are too many digits, which are checked below
        for (; (unsigned char)(*at - '0') < 10; at++) value = value * 10 + (uint64_t)(*at - '0');
        if (at == begin || at - begin > kMostDigits) return nullptr;
        if (*at == '\r' && field + 1 == n_fields) at++;
        if (field + 1 < n_fields ? !blank(*at) : *at != '\n') return nullptr;
        at++;
        numbers[field] = (int64_t)value;
    }
    return at;
}

// Parses any line, without its line end. Returns 0, the reason why the line is bad, or -1 for a blank line.
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

inline bool space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// Parses a line of an id, a tab and a name; *fields: the id, and the positions where the name begins and ends. Returns
// as parse_line does.
int32_t parse_name(const char *text, const char *at, const char *end, int64_t *fields) {
    const auto trim = [](const char *&from, const char *&to) {
        while (to > from && space(to[-1])) to--;
        while (from < to && space(*from)) from++;
    };
    const char *tab = static_cast<const char *>(std::memchr(at, '\t', end - at)), *key_end = tab ? tab : end;
    const char *name = tab ? tab + 1 : end, *name_end = end;
    trim(at, key_end);
    trim(name, name_end);
    if (at == key_end && name == name_end) return -1;
    if (!tab) return CYMBALS_LINE_FIELDS;
    int64_t id = 0;
    bool overflow = false;
    for (const char *c = at; c < key_end; c++) {
        if (*c < '0' || *c > '9') return CYMBALS_LINE_NUMBER;
        overflow = overflow || id > (INT64_MAX - (*c - '0')) / 10;
        if (!overflow) id = id * 10 + (*c - '0');
    }
    if (at == key_end) return CYMBALS_LINE_NUMBER;
    if (overflow) return CYMBALS_LINE_RANGE;
    if (name == name_end) return CYMBALS_LINE_EMPTY;
    fields[0] = id, fields[1] = name - text, fields[2] = name_end - text;
    return 0;
}

template <class Usual, class Line>
void parse_piece(Piece &piece, int32_t n_fields, int64_t *numbers, int64_t stride, Usual usual, Line parse_one) {
    int64_t line = piece.first_line, to = piece.first_row, fields[kMostFields];
    const char *last = piece.end;  // just after the last line end: parse_usual may start before it
    while (last > piece.begin && last[-1] != '\n') last--;
    for (const char *at = piece.begin; at < piece.end; line++) {
        if (at < last) {
            if (const char *next = usual(at, fields)) {
                for (int32_t j = 0; j < n_fields; j++) numbers[j * stride + to] = fields[j];
                to++;
                at = next;
                continue;
            }
        }
        const char *stop = static_cast<const char *>(std::memchr(at, '\n', piece.end - at));
        if (!stop) stop = piece.end;
        const int32_t reason = parse_one(at, stop, fields);
        if (reason == 0) {
            for (int32_t j = 0; j < n_fields; j++) numbers[j * stride + to] = fields[j];
            to++;
        } else if (reason > 0 && piece.rejected[reason]++ == 0) {
            piece.first_rejected[reason] = line;
        }
        at = stop + 1;
    }
    piece.good = to - piece.first_row;
}

// See cymbals_parse_numbers.
template <class Usual, class Line>
int32_t parse(const char *text, int64_t size, int32_t n_fields, int64_t *n_lines, int64_t *numbers, int64_t *n_good,
              int64_t *rejected, int64_t *first_rejected, ApiCall &call, Usual usual, Line parse_one) {
    if (!call.ready() || !call.between("size", size, 0) || !call.require(text || size == 0, "text is null") ||
        !call.between("n_fields", n_fields, 1, kMostFields) || !call.not_null("n_lines", n_lines) ||
        !call.require(!numbers || (n_good && rejected && first_rejected), "n_good, rejected or first_rejected is null"))
        return CYMBALS_BAD_ARGUMENT;
    const int32_t n_threads = call.threads();
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
    int64_t all = 0;
    for (int32_t p = 0; p < n_pieces; p++) {
        pieces[p].first_row = all;
        pieces[p].first_line = all + 1;
        all += pieces[p].lines;
    }
    const int64_t room = *n_lines;
    if (numbers &&
        !call.require(room >= all, "n_lines is %lld: numbers needs room for %lld", (long long)room, (long long)all))
        return CYMBALS_BAD_ARGUMENT;
    *n_lines = all;
    if (!numbers) return CYMBALS_OK;
#pragma omp parallel for schedule(static, 1) num_threads(n_threads)
    for (int32_t p = 0; p < n_pieces; p++) parse_piece(pieces[p], n_fields, numbers, room, usual, parse_one);
    *n_good = 0;
    std::fill_n(rejected, CYMBALS_LINE_REASONS, int64_t(0));
    std::fill_n(first_rejected, CYMBALS_LINE_REASONS, int64_t(0));
    for (int32_t p = 0; p < n_pieces; p++) {
        for (int32_t j = 0; j < n_fields && *n_good < pieces[p].first_row; j++)  // close the gap that bad lines left
            std::copy_n(numbers + j * room + pieces[p].first_row, pieces[p].good, numbers + j * room + *n_good);
        *n_good += pieces[p].good;
        for (int32_t reason = 0; reason < CYMBALS_LINE_REASONS; reason++) {
            rejected[reason] += pieces[p].rejected[reason];
            if (first_rejected[reason] == 0) first_rejected[reason] = pieces[p].first_rejected[reason];
        }
    }
    return CYMBALS_OK;
}

}  // namespace
}  // namespace cymbals

extern "C" int32_t cymbals_parse_numbers(cymbals_workspace *workspace, const char *text, int64_t size, int32_t n_fields,
                                         int64_t *n_lines, int64_t *numbers, int64_t *n_good,
                                         int64_t rejected[CYMBALS_LINE_REASONS],
                                         int64_t first_rejected[CYMBALS_LINE_REASONS]) {
    cymbals::ApiCall call(workspace, CYMBALS_PHASE_OTHER);
    const auto parse_usual = [n_fields](const char *at, int64_t *fields) {
        return n_fields == 3 ? cymbals::parse_usual(at, 3, fields) : cymbals::parse_usual(at, n_fields, fields);
    };
    return cymbals::parse(text, size, n_fields, n_lines, numbers, n_good, rejected, first_rejected, call, parse_usual,
                          [n_fields](const char *at, const char *end, int64_t *fields) {
                              return cymbals::parse_line(at, end, n_fields, fields);
                          });
}

extern "C" int32_t cymbals_parse_names(cymbals_workspace *workspace, const char *text, int64_t size, int64_t *n_lines,
                                       int64_t *numbers, int64_t *n_good, int64_t rejected[CYMBALS_LINE_REASONS],
                                       int64_t first_rejected[CYMBALS_LINE_REASONS]) {
    cymbals::ApiCall call(workspace, CYMBALS_PHASE_OTHER);
    const auto nothing_usual = [](const char *, int64_t *) -> const char * { return nullptr; };
    return cymbals::parse(text, size, 3, n_lines, numbers, n_good, rejected, first_rejected, call, nothing_usual,
                          [text](const char *at, const char *end, int64_t *fields) {
                              return cymbals::parse_name(text, at, end, fields);
                          });
}
