// The k best of a stream of (item, score), best first, ties to the lower item.
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

// The best so far, in borrowed memory of k places: in order while they are few, which is faster to keep than a heap,
// else as a heap with the worst on top.
template <class T>
class Best {
 public:
    Best() = default;
    Best(Scored<T> *memory, int64_t k) : places(memory), most(k), ordered(k <= kFew) {}

    // What a score must reach to be taken, being better or equal.
    T least() const {
        if (size < most || most == 0) return -std::numeric_limits<T>::infinity();
        return places[ordered ? size - 1 : 0].score;
    }

    // Written so that a NaN is never taken.
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
    // Puts what was taken in order, best first, and returns how many.
    int64_t finish() {
        if (!ordered) std::sort_heap(places, places + size, better<T>);
        return size;
    }

 private:
    static constexpr int64_t kFew = 64;
    Scored<T> *places = nullptr;
    int64_t most = 0, size = 0;
    bool ordered = true;
};

}  // namespace cymbals
