// The vector type and the primitives of csrc/kernels/vector.inl, in a version that counts. An arithmetic operation on
// vectors counts as one flop for each lane; a sum of all lanes counts as one flop less than there are lanes. Signs,
// comparisons, conversions and arithmetic on single numbers do not count.

template <class T>
struct Counted {
    plain::Vec<T> v;

    Counted() : v{} {}
    Counted(plain::Vec<T> of) : v(of) {}
    Counted(T x) : v(plain::spread<T>(x)) {}

    friend Counted operator+(Counted a, Counted b) { return calculated(a.v + b.v); }
    friend Counted operator-(Counted a, Counted b) { return calculated(a.v - b.v); }
    friend Counted operator*(Counted a, Counted b) { return calculated(a.v * b.v); }
    friend Counted operator-(Counted a) { return -a.v; }
    Counted &operator+=(Counted other) { return *this = *this + other; }
    Counted &operator*=(Counted other) { return *this = *this * other; }

 private:
    static Counted calculated(plain::Vec<T> v) {
        counting::tally.calculate(kLanes<T>);
        return v;
    }
};
template <class T>
using Vec = Counted<T>;

template <class T>
inline Vec<T> load(const T *p) {
    counting::tally.load(p, CYMBALS_BYTES);
    return plain::load(p);
}
template <class T>
inline T load_one(const T *p) {
    counting::tally.load(p, sizeof(T));
    return *p;
}
template <class T>
inline void store(T *p, Vec<T> v) {
    plain::store(p, v.v);
}
template <class T>
inline Vec<T> spread(T x) {
    return x;
}
template <class T>
inline T sum(Vec<T> v) {
    counting::tally.calculate(kLanes<T> - 1);
    return plain::sum<T>(v.v);
}
template <class T>
inline Vec<T> lane_sums(Vec<T> *v) {
    plain::Vec<T> all[kLanes<T>];
    for (int64_t i = 0; i < kLanes<T>; i++) all[i] = v[i].v;
    counting::tally.calculate(kLanes<T> * (kLanes<T> - 1));
    return plain::lane_sums<T>(all);
}

using plain::Pairs;
inline Pairs load_pairs(const int32_t *p) {
    counting::tally.load(p, CYMBALS_BYTES);
    return plain::load_pairs(p);
}
inline void store_pairs(int32_t *p, Pairs v) {
    counting::tally.store(p, CYMBALS_BYTES);
    plain::store_pairs(p, v);
}
inline Vec<float> lower(Pairs pairs) { return plain::lower(pairs); }
inline Vec<float> upper(Pairs pairs) { return plain::upper(pairs); }
inline Pairs packed(Vec<float> low, Vec<float> high) { return plain::packed(low.v, high.v); }
