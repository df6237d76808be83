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

// A heap with the worst on top, in borrowed memory of k places.
template <class T>
class Best {
 public:
    Best() = default;
    Best(Scored<T> *memory, int64_t k) : heap(memory), most(k) {}

    // What a score must reach to be taken, being better or equal.
    T least() const { return size == most && most > 0 ? heap[0].score : -std::numeric_limits<T>::infinity(); }

    // Written so that a NaN is never taken.
    void offer(int64_t item, T score) {
        if (size == most) {
            if (most == 0 || !better({score, item}, heap[0])) return;
            std::pop_heap(heap, heap + size--, better<T>);
        } else if (!(score == score)) {
            return;
        }
        heap[size++] = {score, item};
        std::push_heap(heap, heap + size, better<T>);
    }
    // Sorts what was taken, best first, and returns how many.
    int64_t finish() {
        std::sort_heap(heap, heap + size, better<T>);
        return size;
    }

 private:
    Scored<T> *heap = nullptr;
    int64_t most = 0, size = 0;
};

}  // namespace cymbals
