// Runs small cases with kernels that count. For each case it prints the counted flops and bytes, and those that the
// workspace recorded: a line of CSV for
// every case, phase and class of rows.

#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "cymbals/cymbals.h"
#include "tally.h"

namespace {

using counting::Count;
using counting::counts;

void check(int32_t status, const cymbals_workspace *workspace = nullptr) {
    if (status == CYMBALS_OK) return;
    std::fprintf(stderr, "%s\n", workspace ? cymbals_workspace_message(workspace) : cymbals_status_message(status));
    std::exit(1);
}

template <class T>
class Case {
 public:
    Case(const char *name, int64_t n, int64_t f) : name_(name), f_(f), numbers_(n * f) {
        std::normal_distribution<T> normal(0, 1);
        for (T &x : numbers_) x = normal(random_);
        matrix_ = matrix(numbers_, n);
        cymbals_workspace_options options = CYMBALS_WORKSPACE_OPTIONS_INIT;
        options.record = 1;
        check(cymbals_workspace_create(&options, &workspace_));
        counts = {};
    }
    ~Case() { cymbals_workspace_destroy(workspace_); }

    void gram() {
        std::vector<double> gram(f_ * f_);
        check(cymbals_gram(workspace_, &matrix_, gram.data()), workspace_);
        print_spans("gram", CYMBALS_PHASE_GRAM, counts.gram);
    }
    void rotate() {
        std::vector<double> basis(f_ * f_, 0.5);
        check(cymbals_rotate(workspace_, &matrix_, basis.data()), workspace_);
        print_spans("rotate", CYMBALS_PHASE_ROTATE, counts.rotate);
    }
    // Solves rows of these lengths against the matrix. gramian: whether there is a Gramian; row_reg: whether each row
    // has its own regularization.
    void half_step(const std::vector<int64_t> &lengths, int32_t solver, int32_t compact, bool gramian, bool row_reg,
                   double alpha = 1) {
        std::vector<int64_t> indptr = {0};
        for (int64_t n : lengths) indptr.push_back(indptr.back() + n);
        std::vector<int32_t> indices(indptr.back());
        std::vector<float> values(indptr.back());
        for (int32_t &i : indices) i = (int32_t)(random_() % matrix_.n_rows);
        for (float &v : values) v = (float)(1 + random_() % 5);
        const int64_t n_rows = (int64_t)lengths.size();
        const cymbals_csr rows = {sizeof rows,    n_rows,        matrix_.n_rows, indptr.data(),
                                  indices.data(), CYMBALS_INT32, values.data(),  CYMBALS_FLOAT32};
        cymbals_objective objective = {sizeof objective, CYMBALS_HU, CYMBALS_LINEAR, alpha, 1, 1};
        if (!gramian) objective.kind = CYMBALS_EXPLICIT, objective.alpha0 = 0;
        const std::vector<double> spectrum(f_, gramian ? (double)matrix_.n_rows : 0), reg(n_rows, 1);
        std::vector<T> numbers(n_rows * f_);
        cymbals_matrix solved = matrix(numbers, n_rows);
        cymbals_solve_options options = CYMBALS_SOLVE_OPTIONS_INIT;
        options.solver = solver;
        options.compact = compact;
        options.reg = 1;
        if (row_reg) options.row_reg = reg.data();
        cymbals_solve_info info;
        check(cymbals_half_step(workspace_, &rows, &objective, &matrix_, spectrum.data(), &solved, &options, &info),
              workspace_);
        print_spans("whiten", CYMBALS_PHASE_WHITEN, counts.whiten);
        print_rows();
    }

 private:
    cymbals_matrix matrix(std::vector<T> &numbers, int64_t n) const {
        return {sizeof(cymbals_matrix), numbers.data(), n, f_, f_, sizeof(T) == 4 ? CYMBALS_FLOAT32 : CYMBALS_FLOAT64};
    }
    void print(const char *phase, int32_t length, const Count &recorded, const Count &counted) const {
        std::printf("%s,float%d,%d,%s,%d,%.0f,%.0f,%.0f,%.0f\n", name_, (int)(8 * sizeof(T)), (int)f_, phase, length,
                    recorded.flops, counted.flops, recorded.bytes, counted.bytes);
    }
    void print_spans(const char *name, int32_t phase, const Count &counted) const {
        const cymbals_span *spans;
        int64_t n;
        check(cymbals_workspace_spans(workspace_, &spans, &n, nullptr));
        Count recorded;
        for (const cymbals_span *s = spans; s < spans + n; s++)
            if (s->phase == phase) recorded.flops += s->flops, recorded.bytes += s->bytes;
        print(name, -1, recorded, counted);
    }
    void print_rows() const {
        const cymbals_row_class *classes;
        int64_t n;
        check(cymbals_workspace_row_classes(workspace_, &classes, &n));
        for (const cymbals_row_class *c = classes; c < classes + n; c++) {
            const int way = c->solver == CYMBALS_CG ? 0 : c->solver == CYMBALS_DUAL ? 1 : 2;
            const char *names[3][2] = {{"cg gather", "cg"}, {"dual gather", "dual"}, {"primal gather", "primal"}};
            print(names[way][0], c->length, {c->gather_flops, c->gather_bytes}, counts.gather[way][c->length]);
            print(names[way][1], c->length, {c->solve_flops, c->solve_bytes}, counts.solve[way][c->length]);
        }
    }

    const char *const name_;
    const int64_t f_;
    std::mt19937 random_{0};
    std::vector<T> numbers_;
    cymbals_matrix matrix_;
    cymbals_workspace *workspace_ = nullptr;
};

template <class T>
void run() {
    constexpr bool narrow = sizeof(T) == sizeof(float);  // CG may read 16 bits
    constexpr int64_t n = 1003;
    std::vector<int64_t> lengths = {200, 333, 800, 1000};
    for (int64_t r = 0; r < 200; r++) lengths.push_back(1 + r % 150);
    for (int64_t f : {16, 40, 64, 128}) {
        Case<T>("gram", n, f).gram();
        Case<T>("rotate", n, f).rotate();
        Case<T>("cg", n, f).half_step(lengths, CYMBALS_CG, CYMBALS_COMPACT_NEVER, true, false);
        if (narrow) Case<T>("compact", n, f).half_step(lengths, CYMBALS_CG, CYMBALS_COMPACT_ALWAYS, true, false);
        if (narrow) Case<T>("row_reg", n, f).half_step(lengths, CYMBALS_CG, CYMBALS_COMPACT_ALWAYS, true, true);
        if (narrow)  // some entries are too heavy for the copy
            Case<T>("heavy", n, f).half_step(lengths, CYMBALS_CG, CYMBALS_COMPACT_ALWAYS, true, true, 200);
        if (narrow) Case<T>("auto", n, f).half_step(lengths, CYMBALS_SOLVER_AUTO, CYMBALS_COMPACT_ALWAYS, true, true);
        Case<T>("auto", n, f).half_step(lengths, CYMBALS_SOLVER_AUTO, CYMBALS_COMPACT_LARGE, true, false);
        Case<T>("explicit", n, f).half_step(lengths, CYMBALS_SOLVER_AUTO, CYMBALS_COMPACT_ALWAYS, false, false);
        Case<T>("dual", n, f).half_step(lengths, CYMBALS_DUAL, CYMBALS_COMPACT_NEVER, true, false);
        Case<T>("primal", n, f).half_step(lengths, CYMBALS_PRIMAL, CYMBALS_COMPACT_NEVER, true, false);
    }
    Case<T>("panels", 2000, 320).gram();
    // A row that does not fit in a tile, with and without the 16-bit copy.
    Case<T>("long", n, 128).half_step({20000}, CYMBALS_CG, CYMBALS_COMPACT_NEVER, true, false);
    if (narrow) Case<T>("long compact", n, 128).half_step({20000}, CYMBALS_CG, CYMBALS_COMPACT_ALWAYS, true, false);
    Case<T>("long", n, 128).half_step({20000}, CYMBALS_PRIMAL, CYMBALS_COMPACT_NEVER, true, false);
}

}  // namespace

int main() {
    std::printf("case,type,f,phase,length,flops,counted_flops,bytes,counted_bytes\n");
    run<float>();
    run<double>();
}
