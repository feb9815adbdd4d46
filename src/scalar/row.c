// Layer norm and RMS norm of whole rows, written from the formulas, in double: mean, then the mean of the squared
// deviations (Welford's and the one-pass forms lose digits), then y. float32 cannot overflow or underflow here: squares
// of its values and their sums fit a double. Nothing in this folder is shared with the kernels of other backends.
#include "scalar.h"

#include "../schedule.h"
#include <math.h>
#include <string.h>

enum {
    STRETCH = 1024, // elements converted at a time: four such arrays of float32 stay in the first-level cache
    KEPT = 8192,    // h of a row up to this long is computed once and kept
};

struct rows {
    const struct nsc_loops *loops;
    struct norma_row_args args;
    bool rms, plain; // plain: h is x itself, in memory as float32
    char *base[NORMA_ROW_ARGS];
};

static bool present(const struct rows *rows, norma_arg arg)
{
    return rows->args.flags >> arg & 1;
}

static enum nsc_type type_of(const struct rows *rows, norma_arg arg)
{
    return (enum nsc_type)(rows->args.types >> (2 * arg) & 3);
}

static void *element(const struct rows *rows, norma_arg arg, uint64_t index)
{
    return rows->base[arg] + index * (type_of(rows, arg) == NSC_FLOAT32 ? 4 : 2);
}

// count elements of a tensor as float32: where they are, or converted into buffer.
static const float *fetch(const struct rows *rows, norma_arg arg, uint64_t index, size_t count, float *buffer)
{
    const void *from = element(rows, arg, index);
    if (type_of(rows, arg) == NSC_FLOAT32)
        return from;
    rows->loops->load(buffer, from, type_of(rows, arg), count);
    return buffer;
}

// h = residual + gate * (x + input_bias) of a stretch of row r from element i on.
static const float *fetch_h(const struct rows *rows, uint64_t r, size_t i, size_t count, float *buffer)
{
    const struct norma_row_args *a = &rows->args;
    const struct nsc_loops *loops = rows->loops;
    float term[STRETCH];
    uint64_t x = a->off_x + r * a->stride_x + i;
    if (rows->plain)
        return element(rows, NORMA_ARG_X, x);
    loops->load(buffer, element(rows, NORMA_ARG_X, x), type_of(rows, NORMA_ARG_X), count);
    if (present(rows, NORMA_ARG_INPUT_BIAS))
        loops->add(buffer, fetch(rows, NORMA_ARG_INPUT_BIAS, a->off_input_bias + i, count, term), count);
    if (present(rows, NORMA_ARG_GATE)) {
        uint64_t gate = a->off_gate + (r + a->gate_phase) / a->gate_rows * a->stride_gate + i;
        loops->multiply(buffer, fetch(rows, NORMA_ARG_GATE, gate, count, term), count);
    }
    if (present(rows, NORMA_ARG_RESIDUAL)) {
        uint64_t residual = a->off_residual + r * a->stride_residual + i;
        loops->add(buffer, fetch(rows, NORMA_ARG_RESIDUAL, residual, count, term), count);
    }
    return buffer;
}

static size_t stretch_at(size_t n, size_t i)
{
    return n - i < STRETCH ? n - i : STRETCH;
}

// A row's h: kept whole where it fits, else computed again for each pass.
struct row_h {
    const float *whole;
    float kept[KEPT];
};

static const float *h_at(const struct rows *rows, uint64_t r, const struct row_h *h, size_t i, size_t count,
                         float *buffer)
{
    return h->whole ? h->whole + i : fetch_h(rows, r, i, count, buffer);
}

static double total(const double sums[NSC_SUMS])
{
    double s = 0;
    for (int j = 0; j < NSC_SUMS; j += 4)
        s += (sums[j] + sums[j + 1]) + (sums[j + 2] + sums[j + 3]);
    return s;
}

static void statistics(const struct rows *rows, uint64_t r, const struct row_h *h, double *mean, double *rstd)
{
    const size_t n = rows->args.n;
    float buffer[STRETCH];
    double sums[NSC_SUMS] = {0}, squares[NSC_SUMS] = {0};
    *mean = 0;
    if (!rows->rms) {
        for (size_t i = 0; i < n; i += STRETCH)
            rows->loops->sum(sums, h_at(rows, r, h, i, stretch_at(n, i), buffer), stretch_at(n, i));
        *mean = total(sums) / (double)n;
    }
    for (size_t i = 0; i < n; i += STRETCH)
        rows->loops->squares(squares, h_at(rows, r, h, i, stretch_at(n, i), buffer), stretch_at(n, i), *mean);
    *rstd = 1 / sqrt(total(squares) / (double)n + (double)rows->args.eps);
}

static void write_outputs(const struct rows *rows, uint64_t r, const struct row_h *h, double mean, double rstd)
{
    const struct norma_row_args *a = &rows->args;
    const size_t n = a->n;
    float buffer[STRETCH], weight[STRETCH], bias[STRETCH];
    struct nsc_apply apply = {mean, rstd, (double)a->weight_offset, NULL, NULL, NULL, type_of(rows, NORMA_ARG_Y)};
    for (size_t i = 0; i < n; i += STRETCH) {
        const size_t count = stretch_at(n, i);
        // Inputs first: y and sum may lie in the memory of x and residual.
        const float *values = h_at(rows, r, h, i, count, buffer);
        if (present(rows, NORMA_ARG_WEIGHT))
            apply.weight = fetch(rows, NORMA_ARG_WEIGHT, a->off_weight + i, count, weight);
        if (present(rows, NORMA_ARG_BIAS))
            apply.bias = fetch(rows, NORMA_ARG_BIAS, a->off_bias + i, count, bias);
        if (present(rows, NORMA_ARG_SUM))
            rows->loops->store(element(rows, NORMA_ARG_SUM, a->off_sum + r * a->stride_sum + i),
                               type_of(rows, NORMA_ARG_SUM), values, count);
        apply.y = element(rows, NORMA_ARG_Y, a->off_y + r * a->stride_y + i);
        rows->loops->apply(&apply, values, count);
    }
}

static void run_rows(void *user, uint64_t first, uint64_t count)
{
    const struct rows *rows = user;
    const struct norma_row_args *a = &rows->args;
    struct row_h h;
    for (uint64_t r = first; r < first + count; r++) {
        double mean, rstd;
        h.whole = NULL;
        if (rows->plain) {
            h.whole = fetch_h(rows, r, 0, a->n, NULL);
        } else if (a->n <= KEPT) {
            for (size_t i = 0; i < a->n; i += STRETCH)
                fetch_h(rows, r, i, stretch_at(a->n, i), h.kept + i);
            h.whole = h.kept;
        }
        statistics(rows, r, &h, &mean, &rstd);
        if (present(rows, NORMA_ARG_MEAN))
            *(float *)element(rows, NORMA_ARG_MEAN, (a->off_stats & 0xffff) + r * a->stride_mean) = (float)mean;
        if (present(rows, NORMA_ARG_RSTD))
            *(float *)element(rows, NORMA_ARG_RSTD, (a->off_stats >> 16) + r * a->stride_rstd) = (float)rstd;
        write_outputs(rows, r, &h, mean, rstd);
    }
}

static bool is_rms(const norma_dispatch *dispatch)
{
    for (uint32_t i = 0; i < dispatch->constant_count; i++)
        if (dispatch->constants[i].id == NORMA_CONST_RMS)
            return dispatch->constants[i].value != 0;
    return false;
}

norma_status nsc_rows_dispatch(struct norma_device *device, const struct norma_command *command)
{
    const norma_dispatch *dispatch = command->dispatch;
    norma_status status = nsc_prepare(device, dispatch);
    if (status != NORMA_OK)
        return status;
    struct rows rows = {.loops = ((const struct nsc_device *)device->impl)->loops, .rms = is_rms(dispatch)};
    memcpy(&rows.args, dispatch->args, sizeof rows.args);
    for (uint32_t i = 0; i < dispatch->binding_count; i++) {
        const uint32_t slot = dispatch->bindings[i].slot;
        if (slot < NORMA_ROW_ARGS && command->bound[i])
            rows.base[slot] = (char *)command->bound[i]->host + command->bound_offset[i];
    }
    rows.plain = type_of(&rows, NORMA_ARG_X) == NSC_FLOAT32 && !present(&rows, NORMA_ARG_INPUT_BIAS) &&
                 !present(&rows, NORMA_ARG_GATE) && !present(&rows, NORMA_ARG_RESIDUAL);
    uint64_t bytes = 0, piece_bytes = 64 << 10;
    for (int arg = 0; arg < NORMA_ROW_ARGS; arg++)
        if (present(&rows, (norma_arg)arg))
            bytes += type_of(&rows, (norma_arg)arg) == NSC_FLOAT32 ? 4 : 2;
    bytes *= rows.args.n; // of a row; the few that do not grow with it make no difference
    uint64_t piece = bytes ? piece_bytes / bytes : 1;
    nsc_run(device, &(struct nsc_job){run_rows, &rows, rows.args.rows, piece ? piece : 1}, bytes * rows.args.rows);
    return NORMA_OK;
}
