// The strided family: a problem has the same bits whatever is run beside it.
#include "bits.h"
#include "numbers.h"
#include "strided_judge.h"
#include "strided_run.h"

// A budget may be too small for a problem.
static void compare_tight(struct bits *b, const struct check_subject *s, norma_status status, const char *way)
{
    if (status == NORMA_ERROR_UNSUPPORTED)
        return;
    b->tight++;
    bits_compare(b, s, status, way);
}

// On one device, whatever kernels, threads and tiles.
static void compare_on_device(struct bits *b, const struct strided_case *c)
{
    const struct check_subject whole = strided_subject(c);
    bits_compare(b, &whole, strided_run_host(&b->one_thread, c, b->arena), "1 thread");
    compare_tight(b, &whole, strided_run_host(&b->two_threads, c, b->arena), "2 threads, small budget");
    bits_compare(b, &whole, strided_run_plan(&b->usual, c, NULL, 0, b->arena), "plan");
    if (strided_has_variants(&b->usual, c))
        bits_compare(b, &whole, strided_run_plan(&b->usual, c, "strided", 0, b->arena), "plan, strided kernels");
    for (uint64_t part = 2; part <= 8; part *= 2)
        compare_tight(b, &whole, strided_run_plan(&b->usual, c, NULL, c->arena_size / part + 4096, b->arena),
                      "plan, small budget");
}

static void compare_ways(struct bits *b, const struct strided_case *c)
{
    const bool automatic = check_driver_is_auto(&b->usual);
    const struct check_subject whole = strided_subject(c);
    for (int i = 0; i < 2; i++)
        bits_compare(b, &whole, strided_run_host(&b->usual, c, b->arena), "again");
    if (!automatic)
        compare_on_device(b, c);
    const int32_t axis = strided_slice_axis(c);
    uint64_t s = c->seed + c->index;
    for (int i = 0; axis >= 0 && i < 4; i++) {
        const struct strided_case one = strided_slice(c, axis, check_pick(&s, c->shape[axis]));
        const struct check_subject part = strided_subject(&one);
        bits_compare(b, &part,
                     automatic || i % 2 ? strided_run_host(&b->usual, &one, b->arena)
                                        : strided_run_plan(&b->usual, &one, NULL, 0, b->arena),
                     i % 2 ? "sample alone" : "sample alone, plan");
    }
}

static bool do_case(struct bits *b, uint64_t index)
{
    struct strided_case c;
    strided_case_make(&c, b->seed, index);
    const bool filled = strided_case_fill(&c);
    const struct check_subject s = strided_subject(&c);
    const bool ok = bits_open(b, &s) && filled;
    const norma_status status = ok ? strided_run_host(&b->usual, &c, b->first) : NORMA_OK;
    const bool refused = status == NORMA_ERROR_UNSUPPORTED && strided_may_refuse(&b->usual, &c);
    if (ok && !refused && bits_first(b, &s, status))
        compare_ways(b, &c);
    bits_close(b);
    strided_case_finish(&c);
    return ok;
}

const struct bits_family strided_bits = {"strided", " --strided", 100, do_case};
