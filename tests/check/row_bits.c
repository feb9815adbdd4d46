// Rows: the bits follow from row length and type alone.
#include "bits.h"
#include "expect.h"
#include "numbers.h"

static void make_case(struct check_case *c, uint64_t seed, uint64_t index)
{
    static const int64_t shapes[][2] = {{1000, 64}, {100, 600}, {20, 9000}, {3, 40000}};
    uint64_t s = seed * 7919 + index;
    const int64_t *shape = shapes[index / 2 % 4];
    int64_t n = 1 + check_pick(&s, shape[1]);
    if (index % 64 == 6)
        n += 262144; // more than 64 chunks
    check_case_make_shape(c, seed, index, shape[0], n);
}

// The case with one row of the outer dimensions alone, in the same arena.
static struct check_case one_row(const struct check_case *c, int64_t row)
{
    struct check_case one = *c;
    one.rows = 1;
    for (int arg = 0; arg < NORMA_ARG_COUNT; arg++) {
        struct check_tensor *t = &one.tensor[arg];
        const uint64_t size = norma_dtype_size(t->dtype);
        t->begin += (uint64_t)check_row_offset(c, (norma_arg)arg, row) * size;
        const bool statistic = arg == NORMA_ARG_MEAN || arg == NORMA_ARG_RSTD;
        for (int i = 0; i < c->outer_rank; i++)
            if (statistic || t->rank > c->normalized_dims)
                t->shape[i] = 1;
        t->span = (statistic ? 1 : (uint64_t)c->n) * size;
    }
    for (int i = 0; i < c->outer_rank; i++)
        one.shape[i] = 1;
    return one;
}

// On one device, whatever variant, threads and tiles.
static void compare_on_device(struct bits *b, const struct check_case *c)
{
    const struct check_subject whole = check_case_subject(c);
    bits_compare(b, &whole, check_run_host(&b->one_thread, c, b->arena), "1 thread");
    bits_compare(b, &whole, check_run_host(&b->two_threads, c, b->arena), "2 threads, small budget");
    bits_compare(b, &whole, check_run_plan(&b->usual, c, &(struct check_options){0}, b->arena), "plan");
    const struct check_options tight = {.memory_budget = c->arena_size / 3 + 4096};
    bits_compare(b, &whole, check_run_plan(&b->usual, c, &tight, b->arena), "plan, small budget");
    const char *variant;
    for (size_t i = 0; (variant = check_driver_variant(&b->usual, i)); i++) {
        const norma_status status = check_run_plan(&b->usual, c, &(struct check_options){.variant = variant}, b->arena);
        if (status != NORMA_ERROR_UNSUPPORTED)
            bits_compare(b, &whole, status, variant);
    }
}

static void compare_ways(struct bits *b, const struct check_case *c)
{
    const bool automatic = check_driver_is_auto(&b->usual);
    const struct check_subject whole = check_case_subject(c);
    for (int i = 0; i < 2; i++)
        bits_compare(b, &whole, check_run_host(&b->usual, c, b->arena), "again");
    if (!automatic)
        compare_on_device(b, c);
    // The first two cases, of 1000 rows each, every row; the others some.
    uint64_t s = c->seed + c->index;
    const int64_t alone = c->index < 2 ? c->rows : 4;
    for (int64_t i = 0; i < alone; i++) {
        const struct check_case one = one_row(c, c->index < 2 ? i : check_pick(&s, c->rows));
        const struct check_subject part = check_case_subject(&one);
        const bool host = automatic || i % 2;
        bits_compare(b, &part,
                     host ? check_run_host(&b->usual, &one, b->arena)
                          : check_run_plan(&b->usual, &one, &(struct check_options){0}, b->arena),
                     host ? "row alone" : "row alone, plan");
    }
}

static bool do_case(struct bits *b, uint64_t index)
{
    struct check_case c;
    make_case(&c, b->seed, index);
    const bool filled = check_case_fill(&c);
    const struct check_subject s = check_case_subject(&c);
    const bool ok = bits_open(b, &s) && filled;
    if (ok && bits_first(b, &s, check_run_host(&b->usual, &c, b->first)))
        compare_ways(b, &c);
    bits_close(b);
    check_case_finish(&c);
    return ok;
}

const struct bits_family row_bits = {"row", "", 200, do_case};
