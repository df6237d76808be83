// Ratings through cymbals.h: ratings [SECONDS] fits random ratings for at most this time, and recommends items to user
// 0.
//
// The explicit objective needs no Gramian, so a fit consists only of half-steps.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <vector>

#include "cymbals/cymbals.h"

namespace {

using Clock = std::chrono::steady_clock;

// Owns a workspace, and throws the errors of the functions that are called with it.
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
    std::unique_ptr<cymbals_workspace, decltype(&cymbals_workspace_destroy)> workspace_{nullptr,
                                                                                        cymbals_workspace_destroy};
};

// The progress callback. cymbals calls it from time to time during a long call; a result other than 0 cancels that
// call.
extern "C" int32_t too_late(void *deadline, int64_t /*done*/, int64_t /*total*/) {
    return Clock::now() >= *static_cast<Clock::time_point *>(deadline);
}

// Random numbers that are the same with every compiler.
class Random {
 public:
    int below(int n) {
        state_ = state_ * 6364136223846793005u + 1442695040888963407u;
        return int(state_ >> 33) % n;
    }

 private:
    uint64_t state_ = 1;
};

void run(std::chrono::duration<double> most) {
    constexpr int n_users = 400, n_items = 300, f = 8, k = 5;
    Random random;
    std::vector<int64_t> indptr{0};
    std::vector<int32_t> indices;
    std::vector<float> values, x(n_users * f), y(n_items * f);
    for (int u = 0; u < n_users; u++) {
        for (int i = 0; i < n_items; i++)
            if (random.below(10) < 3) {
                indices.push_back(i);
                values.push_back(float(1 + (u + i) % 5));
            }
        indptr.push_back(int64_t(indices.size()));
    }
    for (std::vector<float> *side : {&x, &y})
        for (float &v : *side) v = float(random.below(2001) - 1000) / 10000;

    Clock::time_point deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(most);
    cymbals_workspace_options workspace_options = CYMBALS_WORKSPACE_OPTIONS_INIT;
    workspace_options.n_threads = 2;
    workspace_options.progress = too_late;
    workspace_options.progress_context = &deadline;
    const Workspace workspace(workspace_options);
    const cymbals_csr by_user = {sizeof by_user, n_users,       n_items,       indptr.data(),
                                 indices.data(), CYMBALS_INT32, values.data(), CYMBALS_FLOAT32};
    std::vector<int64_t> t_indptr(n_items + 1);
    std::vector<int32_t> t_indices(indices.size());
    std::vector<float> t_values(values.size());
    workspace.check(
        cymbals_transpose(workspace, &by_user, t_indptr.data(), t_indices.data(), CYMBALS_INT32, t_values.data()));
    const cymbals_csr by_item = {sizeof by_item,   n_items,       n_users,         t_indptr.data(),
                                 t_indices.data(), CYMBALS_INT32, t_values.data(), CYMBALS_FLOAT32};
    cymbals_matrix users = {sizeof users, x.data(), n_users, f, f, CYMBALS_FLOAT32};
    cymbals_matrix items = {sizeof items, y.data(), n_items, f, f, CYMBALS_FLOAT32};

    const cymbals_objective objective = {sizeof objective, CYMBALS_EXPLICIT, CYMBALS_LINEAR, 1, 1, 0};
    const double no_gramian[f] = {};
    cymbals_solve_options options = CYMBALS_SOLVE_OPTIONS_INIT;
    options.solver = CYMBALS_EXACT;
    options.reg = 0.1;
    cymbals_solve_info info;
    int32_t status = CYMBALS_OK;
    for (int half = 0; half < 20 && status == CYMBALS_OK; half++)
        status = half % 2 == 0
                     ? cymbals_half_step(workspace, &by_user, &objective, &items, no_gramian, &users, &options, &info)
                     : cymbals_half_step(workspace, &by_item, &objective, &users, no_gramian, &items, &options, &info);
    if (status == CYMBALS_CANCELLED)
        std::puts("out of time");  // the factors can be used: each row is either still the old one or solved
    else
        workspace.check(status);

    deadline = Clock::time_point::max();
    double squares;
    workspace.check(cymbals_loss(workspace, &by_user, &objective, &users, &items, &squares));
    std::printf("rmse %.6f\nuser 0:", std::sqrt(squares / double(values.size())));
    cymbals_matrix user = users;
    cymbals_csr rated = by_user;
    user.n_rows = rated.n_rows = 1;
    int64_t best[k];
    float scores[k];
    workspace.check(cymbals_topk(workspace, &user, &items, nullptr, 0, nullptr, &rated, k, best, scores));
    for (const int64_t item : best) std::printf(" %d", int(item));
    std::puts("");
}

}  // namespace

int main(int argc, char **argv) {
    try {
        run(std::chrono::duration<double>(argc > 1 ? std::atof(argv[1]) : 60));
        return EXIT_SUCCESS;
    } catch (const std::exception &error) {
        std::fprintf(stderr, "ratings: %s\n", error.what());
        return EXIT_FAILURE;
    }
}
