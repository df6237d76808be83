/* All measured limits of the machine are above 0. */
#include <cymbals/cymbals.h>

#include "check.h"
#include "problem.h"

int main(void) {
    cymbals_workspace *workspace = make_workspace(2);
    cymbals_peaks peaks = {sizeof peaks, 0, 0, 0, 0};
    CHECK_OK(cymbals_measure_peaks(workspace, &peaks));
    CHECK(peaks.multiply_adds > 0 && peaks.near_bytes > 0 && peaks.stream_bytes > 0 && peaks.gather_rows > 0);
    cymbals_workspace_destroy(workspace);
    return finish();
}
