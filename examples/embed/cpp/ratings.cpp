// Ratings through cymbals.h: ratings [SECONDS] fits them for so long at most, and recommends to user 0.
//
// With the explicit objective nothing is decomposed: a fit is half-steps alone.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <vector>

#include "cymbals/cymbals.h"

namespace {

struct Destroy {
    void operator()(cymbals_workspace *workspace) const { cymbals_workspace_destroy(workspace); }
};

// Owns a workspace, and throws what its calls complain of.
class Workspace {
 public:
    explicit Workspace(const cymbals_workspace_options &options) {
        cymbals_workspace *made;
        const int32_t status = cymbals_workspace_create(&options, &made);
        if (status != CYMBALS_OK) throw std::runtime_error(cymbals_status_message(status));
        workspace_.reset(made);
    }
    operator cymbals_workspace *() const { return workspace_.get(); }
    void check(int32_t status) const {
        if (status != CYMBALS_OK) throw std::runtime_error(cymbals_workspace_message(*this));
    }

 private:
    std::unique_ptr<cymbals_workspace, Destroy> workspace_;
};

// CSR of triplets.
struct Sparse {
    std::vector<int64_t> indptr;
    std::vector<int32_t> indices;
    std::vector<float> values;
    cymbals_csr csr;

    Sparse(const Workspace &workspace, const std::vector<int32_t> &rows, const std::vector<int32_t> &cols,
           const std::vector<float> &ratings, int64_t n_rows, int64_t n_cols)
        : indptr(n_rows + 1), indices(rows.size()), values(rows.size()) {
        workspace.check(cymbals_from_triplets(workspace, rows.size(), rows.data(), cols.data(), CYMBALS_INT32,
                                              ratings.data(), CYMBALS_FLOAT32, n_rows, n_cols, indptr.data(),
                                              indices.data(), values.data()));
        csr = {sizeof csr,     n_rows,        n_cols,        indptr.data(),
               indices.data(), CYMBALS_INT32, values.data(), CYMBALS_FLOAT32};
    }
    Sparse(const Sparse &) = delete;
};

struct Random {
    uint64_t state = 1;
    uint64_t below(uint64_t n) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        return (state >> 33) % n;
    }
};

using Clock = std::chrono::steady_clock;

// Asked now and then in the middle of a half-step: anything but 0 ends it.
extern "C" int32_t too_late(void *deadline, int64_t, int64_t) {
    return Clock::now() >= *static_cast<Clock::time_point *>(deadline);
}

void run(double seconds) {
    constexpr int64_t n_users = 400, n_items = 300, f = 8, k = 5;
    Random random;
    std::vector<int32_t> users, items;
    std::vector<float> ratings, x(n_users * f), y(n_items * f);
    for (int32_t u = 0; u < n_users; u++)
        for (int32_t i = 0; i < n_items; i++)
            if (random.below(10) < 3) {
                users.push_back(u);
                items.push_back(i);
                ratings.push_back(float(1 + (u % 5 + i % 5) % 5));
            }
    for (std::vector<float> *side : {&x, &y})
        for (float &v : *side) v = (float(random.below(2001)) - 1000) / 10000;

    Clock::time_point deadline = Clock::now() + std::chrono::milliseconds(int64_t(1000 * seconds));
    cymbals_workspace_options how = CYMBALS_WORKSPACE_OPTIONS_INIT;
    how.n_threads = 2;
    how.progress = too_late;
    how.progress_context = &deadline;
    const Workspace workspace(how);
    const Sparse by_user(workspace, users, items, ratings, n_users, n_items);
    const Sparse by_item(workspace, items, users, ratings, n_items, n_users);
    cymbals_matrix user_factors = {sizeof user_factors, x.data(), n_users, f, f, CYMBALS_FLOAT32};
    cymbals_matrix item_factors = {sizeof item_factors, y.data(), n_items, f, f, CYMBALS_FLOAT32};
    const cymbals_objective objective = {sizeof objective, CYMBALS_EXPLICIT, CYMBALS_LINEAR, 1, 1, 0};
    const std::vector<double> no_gramian(f);
    cymbals_solve_options options = CYMBALS_SOLVE_OPTIONS_INIT;
    options.solver = CYMBALS_EXACT;
    options.reg = 0.1;
    cymbals_solve_info info;
    int32_t status = CYMBALS_OK;
    for (int iteration = 0; iteration < 10 && status == CYMBALS_OK; iteration++) {
        status = cymbals_half_step(workspace, &by_user.csr, &objective, &item_factors, no_gramian.data(), &user_factors,
                                   &options, &info);
        if (status == CYMBALS_OK)
            status = cymbals_half_step(workspace, &by_item.csr, &objective, &user_factors, no_gramian.data(),
                                       &item_factors, &options, &info);
    }
    if (status == CYMBALS_CANCELLED)  // each row is as it was or solved: good to use
        std::puts("out of time");
    else
        workspace.check(status);

    deadline = Clock::time_point::max();
    double squares;
    std::vector<int64_t> best(k);
    std::vector<float> scores(k);
    cymbals_matrix user_0 = user_factors;
    user_0.n_rows = 1;
    cymbals_csr rated = by_user.csr;
    rated.n_rows = 1;
    workspace.check(cymbals_loss(workspace, &by_user.csr, &objective, &user_factors, &item_factors, &squares));
    workspace.check(
        cymbals_topk(workspace, &user_0, &item_factors, nullptr, 0, nullptr, &rated, k, best.data(), scores.data()));
    std::printf("rmse %.6f\nuser 0:", std::sqrt(squares / double(ratings.size())));
    for (const int64_t item : best) std::printf(" %d", int(item));
    std::puts("");
}

}  // namespace

int main(int argc, char **argv) {
    try {
        run(argc > 1 ? std::atof(argv[1]) : 60);
        return EXIT_SUCCESS;
    } catch (const std::exception &error) {
        std::fprintf(stderr, "ratings: %s\n", error.what());
        return EXIT_FAILURE;
    }
}
