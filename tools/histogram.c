#include "histogram.h"
#include "values.h"
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { CHUNK = 4096 };

void histogram_start(struct histogram *h)
{
    memset(h, 0, sizeof *h);
    h->least = (double)INFINITY;
    h->most = -(double)INFINITY;
}

static void widen(struct histogram *h, const double *values, int64_t count)
{
    for (int64_t i = 0; i < count; ++i) {
        if (!isfinite(values[i])) {
            ++h->nonfinite;
            continue;
        }
        h->least = values[i] < h->least ? values[i] : h->least;
        h->most = values[i] > h->most ? values[i] : h->most;
    }
}

// Halves, since the distance between two values may overflow.
static void count_values(struct histogram *h, const double *values, int64_t count)
{
    const double scale = HISTOGRAM_BINS / (h->high / 2 - h->low / 2);
    for (int64_t i = 0; i < count; ++i) {
        if (!isfinite(values[i]))
            continue;
        const double bin = (values[i] / 2 - h->low / 2) * scale;
        ++h->count[bin < 0 ? 0 : bin < HISTOGRAM_BINS ? (int)bin : HISTOGRAM_BINS - 1];
    }
}

static void each_chunk(struct histogram *h, const norma_tensor *dense, bool counting)
{
    const int64_t total = tensor_elements(dense);
    double values[CHUNK];
    for (int64_t begin = 0; begin < total; begin += CHUNK) {
        const int64_t count = total - begin < CHUNK ? total - begin : CHUNK;
        values_gather(dense->dtype, dense->data, begin, 1, count, values);
        (counting ? count_values : widen)(h, values, count);
    }
}

void histogram_widen(struct histogram *h, const norma_tensor *dense)
{
    each_chunk(h, dense, false);
}

void histogram_settle(struct histogram *h)
{
    h->low = h->least;
    h->high = h->most;
    if (h->most > h->least)
        return;
    // One value, or none: an interval around it.
    const double middle = h->most == h->least ? h->least : 0, half = middle == 0 ? 1 : fabs(middle) / 16;
    h->low = middle - half;
    h->high = middle + half;
}

void histogram_count(struct histogram *h, const norma_tensor *dense)
{
    each_chunk(h, dense, true);
}
