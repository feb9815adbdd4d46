#include "case.h"
#include "numbers.h"
#include "subject.h"
#include <stdlib.h>
#include <string.h>

static const int64_t edges[][2] = {
    {0, 8},      {3, 0},      {0, 0},     {1, 1},     {5, 1},      {1, 2},     {7, 3},     {4, 15},    {4, 16},
    {4, 17},     {2, 511},    {2, 512},   {2, 513},   {3, 1023},   {3, 1025},  {3, 2049},  {3, 4095},  {3, 4096},
    {3, 4097},   {2, 8191},   {2, 8193},  {2, 16384}, {1, 16385},  {1, 65535}, {2, 65536}, {1, 65537}, {1, 262144},
    {1, 262145}, {1, 266243}, {65535, 3}, {65537, 3}, {131073, 1}, {66000, 5}, {1000, 33}, {300, 300}, {1, 1048577},
};
enum { EDGE_SHAPES = sizeof edges / sizeof *edges, EDGE_REPEATS = 2 };

uint64_t check_edge_count(void)
{
    return EDGE_SHAPES * EDGE_REPEATS * 2;
}

static norma_dtype pick_dtype(uint64_t *s)
{
    static const norma_dtype types[] = {NORMA_FLOAT32, NORMA_FLOAT16, NORMA_BFLOAT16};
    return types[check_pick(s, 3)];
}

static bool chance(uint64_t *s, double p)
{
    return check_uniform(s) < p;
}

// A length from 1 to most, small ones as likely as large ones.
static int64_t pick_length(uint64_t *s, int64_t most)
{
    int64_t length = 1;
    while (length < most && chance(s, 0.93))
        length = length * 5 / 4 + 1 + check_pick(s, 3);
    return length > most ? most : length;
}

static void pick_shape(struct check_case *c, uint64_t *s, const int64_t *fixed)
{
    int64_t rows, n;
    if (fixed) {
        rows = fixed[0], n = fixed[1];
    } else {
        n = pick_length(s, 6000);
        rows = pick_length(s, n < 64 ? 400 : 24000 / n);
    }
    c->normalized_dims = 1;
    c->outer_rank = 1;
    int rank = 0;
    if (!fixed && chance(s, 0.5)) { // two or three outer dimensions
        c->outer_rank = 2 + (int32_t)check_pick(s, 2);
        for (int i = 1; i < c->outer_rank; i++) {
            const int64_t size = 1 + check_pick(s, rows < 4 ? 2 : 4);
            c->shape[rank++] = size;
            rows = (rows + size - 1) / size;
        }
    } else if (!fixed && chance(s, 0.05)) { // x is one row, without outer dimensions
        c->outer_rank = 0;
    }
    if (c->outer_rank > 0)
        c->shape[rank++] = rows;
    if (!fixed && chance(s, 0.2)) {
        const int64_t size = 1 + check_pick(s, 3);
        c->normalized_dims = 2;
        c->shape[rank++] = size;
        n = (n + size - 1) / size;
    }
    c->shape[rank++] = n;
    c->rows = c->n = 1;
    for (int i = 0; i < rank; i++)
        *(i < c->outer_rank ? &c->rows : &c->n) *= c->shape[i];
}

static void pick_tensors(struct check_case *c, uint64_t *s)
{
    struct check_tensor *t = c->tensor;
    const bool fused = chance(s, 0.6);
    static const struct {
        norma_arg arg;
        double fused, plain;
    } odds[] = {
        {NORMA_ARG_X, 1, 1},
        {NORMA_ARG_Y, 1, 1},
        {NORMA_ARG_WEIGHT, 0.75, 0.75},
        {NORMA_ARG_BIAS, 0.6, 0.6},
        {NORMA_ARG_RESIDUAL, 0.6, 0},
        {NORMA_ARG_GATE, 0.5, 0},
        {NORMA_ARG_INPUT_BIAS, 0.5, 0},
        {NORMA_ARG_SUM, 0.6, 0},
        {NORMA_ARG_MEAN, 0.5, 0.5},
        {NORMA_ARG_RSTD, 0.5, 0.5},
    };
    t[NORMA_ARG_X].dtype = pick_dtype(s);
    for (size_t i = 0; i < sizeof odds / sizeof *odds; i++) {
        const norma_arg arg = odds[i].arg;
        t[arg].present = chance(s, fused ? odds[i].fused : odds[i].plain);
        t[arg].view = arg;
        if (arg != NORMA_ARG_X)
            t[arg].dtype = chance(s, 0.5) ? t[NORMA_ARG_X].dtype : pick_dtype(s);
    }
    t[NORMA_ARG_MEAN].dtype = t[NORMA_ARG_RSTD].dtype = NORMA_FLOAT32;
}

static void pick_values(struct check_case *c, uint64_t *s)
{
    static const int weight[CHECK_VALUES_COUNT] = {3, 6, 2, 2, 2, 2, 2, 1, 2, 2};
    int64_t left = check_pick(s, 24);
    int v = 0;
    while ((left -= weight[v]) >= 0)
        v++;
    c->values = (enum check_values)v;
    static const double eps[] = {1e-5, 1e-6, 1e-12, 0, 1e-3};
    static const double tiny[] = {0, 1e-37, 1e-30};
    c->eps = c->values == CHECK_DENORMAL ? tiny[check_pick(s, 3)] : eps[check_pick(s, 5)];
    if (c->values == CHECK_EXACT)
        c->eps = 0;
    c->weight_offset = c->op == NORMA_RMS_NORM && chance(s, 0.4) ? 1 : 0;
}

// The shape of an argument: that of x, of its normalised or outer dimensions, or of a gate.
static void set_shape(struct check_case *c, norma_arg arg, uint64_t *s)
{
    struct check_tensor *t = &c->tensor[arg];
    const int32_t rank = c->outer_rank + c->normalized_dims;
    t->row_length = c->n;
    t->rank = rank;
    memcpy(t->shape, c->shape, sizeof t->shape);
    const bool inner = arg == NORMA_ARG_WEIGHT || arg == NORMA_ARG_BIAS || arg == NORMA_ARG_INPUT_BIAS;
    const int gate_kind = arg == NORMA_ARG_GATE ? (int)check_pick(s, 3) : -1;
    if (inner || gate_kind == 0) {
        t->rank = c->normalized_dims;
        memcpy(t->shape, c->shape + c->outer_rank, (size_t)t->rank * sizeof *t->shape);
    } else if (gate_kind == 1) { // per sample: all but the first outer dimension repeat, or any of them
        const bool any = chance(s, 0.3);
        for (int i = any ? 0 : 1; i < c->outer_rank; i++)
            t->shape[i] = any && chance(s, 0.5) ? t->shape[i] : 1;
    } else if (arg == NORMA_ARG_MEAN || arg == NORMA_ARG_RSTD) {
        t->row_length = 1;
        if (chance(s, 0.5))
            t->rank = c->outer_rank;
        else
            for (int i = c->outer_rank; i < rank; i++)
                t->shape[i] = 1;
    }
}

// The number of the tensor's leading dimensions that rows run over.
static int outer_dims(const struct check_case *c, norma_arg arg)
{
    const struct check_tensor *t = &c->tensor[arg];
    if (arg == NORMA_ARG_MEAN || arg == NORMA_ARG_RSTD)
        return c->outer_rank;
    return t->rank - c->normalized_dims;
}

static void set_strides(struct check_case *c, norma_arg arg, uint64_t *s)
{
    struct check_tensor *t = &c->tensor[arg];
    const int outer = outer_dims(c, arg);
    int64_t step = 1;
    for (int i = t->rank - 1; i >= outer; i--) {
        t->strides[i] = step;
        step *= t->shape[i];
    }
    const bool is_input = !check_is_output(arg);
    const int64_t quads = chance(s, 0.4) ? 4 : 1;
    if (c->layout != CHECK_CONTIGUOUS)
        step += quads * check_pick(s, 10);
    if (quads == 4 && c->layout != CHECK_CONTIGUOUS)
        step = (step + 3) / 4 * 4;
    const int swap = c->layout == CHECK_SWAPPED && outer > 1;
    for (int j = 0; j < outer; j++) {
        const int i = swap ? j : outer - 1 - j;
        t->strides[i] = step;
        step *= t->shape[i];
        if (c->layout == CHECK_NESTED)
            step += quads * (1 + check_pick(s, 5));
    }
    if (c->layout == CHECK_REPEATED && is_input && outer > 0 && chance(s, 0.7))
        t->strides[check_pick(s, outer)] = 0;
}

static void pick_layout(struct check_case *c, uint64_t *s)
{
    static const enum check_layout layouts[] = {CHECK_CONTIGUOUS, CHECK_CONTIGUOUS, CHECK_CONTIGUOUS, CHECK_PADDED,
                                                CHECK_PADDED,     CHECK_NESTED,     CHECK_SWAPPED,    CHECK_REPEATED};
    c->layout = layouts[check_pick(s, 8)];
    for (int arg = 0; arg < NORMA_ROW_ARGS; arg++) {
        set_shape(c, (norma_arg)arg, s);
        set_strides(c, (norma_arg)arg, s);
    }
    struct check_tensor *t = c->tensor;
    if (chance(s, 0.25) && c->layout != CHECK_REPEATED) { // in place
        const norma_arg input = t[NORMA_ARG_RESIDUAL].present && chance(s, 0.3) ? NORMA_ARG_RESIDUAL : NORMA_ARG_X;
        t[NORMA_ARG_Y] = t[input];
        if (t[NORMA_ARG_RESIDUAL].present && t[NORMA_ARG_SUM].present)
            t[NORMA_ARG_SUM] = t[input == NORMA_ARG_X ? NORMA_ARG_RESIDUAL : NORMA_ARG_X];
    }
    c->separate = chance(s, 0.25);
    c->uploaded = chance(s, 0.4);
}

void check_case_place(struct check_case *c)
{
    uint64_t s = c->seed * 31 + c->index;
    const bool shifted = chance(&s, 0.3);
    uint64_t at = CHECK_CANARY;
    for (int arg = 0; arg < NORMA_ROW_ARGS; arg++) {
        struct check_tensor *t = &c->tensor[arg];
        if (!t->present || (int)t->view != arg)
            continue;
        int64_t last = 1;
        for (int i = 0; i < t->rank; i++)
            last = t->shape[i] == 0 || last == 0 ? 0 : last + (t->shape[i] - 1) * t->strides[i];
        const uint64_t size = norma_dtype_size(t->dtype);
        const uint64_t shift = shifted && chance(&s, 0.5) ? 1 + (uint64_t)check_pick(&s, 7) : 0;
        t->span = (uint64_t)last * size;
        t->begin = at + shift * size;
        at = (t->begin + t->span + 2 * CHECK_CANARY + 255) / 256 * 256;
    }
    for (int arg = 0; arg < NORMA_ROW_ARGS; arg++) {
        struct check_tensor *t = &c->tensor[arg];
        t->begin = c->tensor[t->view].begin;
        t->span = c->tensor[t->view].span;
    }
    c->arena_size = at;
}

static void make(struct check_case *c, uint64_t seed, uint64_t index, const int64_t *shape)
{
    *c = (struct check_case){.seed = seed, .index = index};
    uint64_t s = seed * 0x2545f4914f6cdd1du + index;
    c->op = index % 2 ? NORMA_RMS_NORM : NORMA_LAYER_NORM;
    pick_shape(c, &s, shape);
    pick_tensors(c, &s);
    pick_values(c, &s);
    pick_layout(c, &s);
    check_case_place(c);
}

void check_case_make(struct check_case *c, uint64_t seed, uint64_t index)
{
    make(c, seed, index, index < check_edge_count() ? edges[index / 2 % EDGE_SHAPES] : NULL);
}

void check_case_make_shape(struct check_case *c, uint64_t seed, uint64_t index, int64_t rows, int64_t n)
{
    make(c, seed, index, (const int64_t[]){rows, n});
}

void check_case_finish(struct check_case *c)
{
    free(c->arena);
    c->arena = NULL;
}

int64_t check_row_offset(const struct check_case *c, norma_arg arg, int64_t row)
{
    const struct check_tensor *t = &c->tensor[arg];
    const int outer = outer_dims(c, arg);
    int64_t offset = 0;
    for (int i = c->outer_rank - 1; i >= 0; i--) {
        const int64_t at = row % c->shape[i];
        row /= c->shape[i];
        if (outer > 0 && t->shape[i] != 1)
            offset += at * t->strides[i];
    }
    return offset;
}

static norma_tensor view(const struct check_case *c, norma_arg arg)
{
    const struct check_tensor *t = &c->tensor[arg];
    norma_tensor v = {.dtype = t->dtype, .rank = t->rank};
    memcpy(v.shape, t->shape, sizeof v.shape);
    memcpy(v.strides, t->strides, sizeof v.strides);
    return v;
}

norma_tensor check_host_view(const struct check_case *c, norma_arg arg, unsigned char *arena)
{
    norma_tensor v = view(c, arg);
    v.data = arena + c->tensor[arg].begin;
    return v;
}

norma_tensor check_buffer_view(const struct check_case *c, norma_arg arg, norma_buffer *buffer, uint64_t base)
{
    norma_tensor v = view(c, arg);
    v.buffer = buffer;
    v.offset = c->tensor[arg].begin - base;
    return v;
}

norma_problem check_problem(const struct check_case *c, const norma_tensor views[NORMA_ARG_COUNT])
{
    const norma_tensor *p[NORMA_ARG_COUNT];
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++)
        p[arg] = c->tensor[arg].present ? &views[arg] : NULL;
    return (norma_problem){.size = sizeof(norma_problem),
                           .op = c->op,
                           .normalized_dims = c->normalized_dims,
                           .eps = c->eps,
                           .weight_offset = c->weight_offset,
                           .x = p[NORMA_ARG_X],
                           .y = p[NORMA_ARG_Y],
                           .weight = p[NORMA_ARG_WEIGHT],
                           .bias = p[NORMA_ARG_BIAS],
                           .residual = p[NORMA_ARG_RESIDUAL],
                           .gate = p[NORMA_ARG_GATE],
                           .input_bias = p[NORMA_ARG_INPUT_BIAS],
                           .sum = p[NORMA_ARG_SUM],
                           .mean = p[NORMA_ARG_MEAN],
                           .rstd = p[NORMA_ARG_RSTD]};
}

void check_case_describe(const struct check_case *c, char *text, size_t size)
{
    static const char *types[] = {"?", "f32", "f16", "bf16", "f64"};
    static const char *values[] = {"exact", "normal",   "offset1e4", "offset1e6", "large",
                                   "1e30",  "denormal", "sparse",    "constant",  "nonfinite"};
    static const char *layouts[] = {"contiguous", "padded", "nested", "swapped", "repeated"};
    size_t used = check_append(text, size, 0, "%s ", norma_op_name(c->op));
    for (int i = 0; i < c->outer_rank + c->normalized_dims; i++)
        used = check_append(text, size, used, "%s%lld",
                            i == 0               ? ""
                            : i == c->outer_rank ? "|"
                                                 : "x",
                            (long long)c->shape[i]);
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        const struct check_tensor *t = &c->tensor[arg];
        if (!t->present)
            continue;
        used = check_append(text, size, used, " %s:%s", norma_arg_name((norma_arg)arg), types[t->dtype]);
        if ((int)t->view != arg)
            used = check_append(text, size, used, "=%s", norma_arg_name(t->view));
    }
    check_append(text, size, used, " %s %s eps %g%s", layouts[c->layout], values[c->values], c->eps,
                 c->weight_offset != 0 ? " weight_offset 1" : "");
}
