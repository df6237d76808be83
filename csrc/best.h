// Keeps the k best of a stream of (item, score); of equal scores the lower item is better.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace cymbals {

template <class T>
struct Scored {
    T score;
    int64_t item;
};
template <class T>
bool better(const Scored<T> &a, const Scored<T> &b) {
    return a.score != b.score ? a.score > b.score : a.item < b.item;
}

// The best items so far, in memory for k items that the caller owns. A small k is kept as a sorted list, which is
// faster than a heap; a larger k as a heap with the worst item on top.
template <class T>
class Best {
 public:
    Best() = default;
    Best(Scored<T> *memory, int64_t k) : places(memory), most(k), ordered(k <= kFew) {}

    // An item with a score below this is not among the best; an item with this score can be, if its number is lower.
    T least() const {
        if (size < most || most == 0) return -std::numeric_limits<T>::infinity();
        return places[ordered ? size - 1 : 0].score;
    }

    // Takes the item if it is among the best so far. A NaN is never taken.
    void offer(int64_t item, T score) {
        const Scored<T> one = {score, item};
        if (size < most) {
            if (!(score == score)) return;
            size++;
        } else if (most == 0 || !better(one, places[ordered ? size - 1 : 0])) {
            return;
        } else if (!ordered) {
            std::pop_heap(places, places + size, better<T>);
        }
        int64_t i = size - 1;
        if (ordered)
            for (; i > 0 && better(one, places[i - 1]); i--) places[i] = places[i - 1];
        places[i] = one;
        if (!ordered) std::push_heap(places, places + size, better<T>);
    }
    // Sorts the items, best first, and returns their number.
    int64_t finish() {
        if (!ordered) std::sort_heap(places, places + size, better<T>);
        return size;
    }

 private:
    static constexpr int64_t kFew = 64;  // the largest k of a sorted list
    Scored<T> *places = nullptr;
    int64_t most = 0, size = 0;
    bool ordered = true;
};

}  // namespace cymbals
