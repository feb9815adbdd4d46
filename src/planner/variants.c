// The ordered list of implementations: the first that a device has and that suits the problem wins.
#include "backend.h"
#include "planner.h"
#include <string.h>

enum {
    SERIAL_TEAM = 1,
    VECTOR_TEAM = 8,           // on a CPU driver a team is one vector
    CHUNK_TEAM = 64,           // on a GPU a team holds a chunk in registers
    MAX_TEAM = 256,            // of a row in registers
    SHORT_LOCAL = 128,         // several teams of short rows share a workgroup
    TEAM_ELEMENTS = 64,        // a work-item's in registers
    TEAM_LOCAL_BYTES = 32,     // local memory a work-item
    SPLIT_ROW = 16384,         // shorter rows are never split for the sake of parallelism
    ROWS_PER_CORE = 2,         // below, long rows are split over a CPU's cores
    ROWS_PER_COMPUTE_UNIT = 8, // below, rows longer than registers are split over a GPU
};

static const struct npl_variant variants[] = {
    {.name = "scalar", .scalar = true},
    {.name = "serial", .serial = true},
    {.name = "serial-split", .serial = true, .split = true},
    {.name = "registers-subgroup", .registers = true, .subgroup = true},
    {.name = "registers-local", .registers = true},
    {.name = "team-subgroup", .subgroup = true},
    {.name = "team-local"},
    {.name = "split-subgroup", .split = true, .subgroup = true},
    {.name = "split-local", .split = true},
};
enum { VARIANTS = sizeof variants / sizeof *variants };
const char norma_variant_quads[] = "quads";
#define QUADS_BIT (UINT32_C(1) << 31)

uint32_t norma_variant_bit(const char *name)
{
    for (size_t i = 0; i < VARIANTS; i++)
        if (!strcmp(variants[i].name, name) && !variants[i].scalar)
            return UINT32_C(1) << i;
    return strcmp(name, norma_variant_quads) ? 0 : QUADS_BIT;
}

uint32_t norma_variants_with_barriers(void)
{
    uint32_t mask = 0;
    for (size_t i = 0; i < VARIANTS; i++)
        if (!variants[i].scalar && !variants[i].serial)
            mask |= UINT32_C(1) << i;
    return mask;
}

static bool is_cpu(const struct norma_caps *caps)
{
    return caps->kind == NORMA_DEVICE_CPU;
}

// The work-items of a team of the variant for rows of n elements.
static uint32_t team_of(const struct npl_variant *variant, const struct norma_caps *caps, uint64_t n)
{
    if (variant->scalar || variant->serial)
        return SERIAL_TEAM;
    if (!variant->registers)
        return is_cpu(caps) || caps->max_workgroup < CHUNK_TEAM ? VECTOR_TEAM : CHUNK_TEAM;
    uint32_t team = VECTOR_TEAM;
    while (team < MAX_TEAM && (uint64_t)team * TEAM_ELEMENTS < n)
        team *= 2;
    return team;
}

static uint32_t local_of(const struct npl_variant *variant, const struct norma_caps *caps, uint32_t team)
{
    uint32_t local = team;
    while (variant->registers && team < CHUNK_TEAM && local * 2 <= SHORT_LOCAL && local * 2 <= caps->max_workgroup)
        local *= 2;
    return local;
}

static bool supported(const struct npl_variant *variant, const struct norma_caps *caps)
{
    if (variant->scalar || caps->api == NORMA_DRIVER_SCALAR)
        return variant->scalar && caps->api == NORMA_DRIVER_SCALAR;
    if (caps->left_out & norma_variant_bit(variant->name))
        return false;
    if (variant->serial)
        return caps->api == NORMA_DRIVER_OPENCL && is_cpu(caps);
    if (variant->subgroup && !(caps->subgroup_shuffle && caps->subgroup_size >= VECTOR_TEAM))
        return false;
    uint32_t least = variant->registers ? CHUNK_TEAM : VECTOR_TEAM;
    return caps->max_workgroup >= least && caps->local_memory >= least * TEAM_LOCAL_BYTES;
}

// The types of the kernels that keep rows in registers, whose loops are unrolled: what has rows has that of x,
// parameters have it or float32.
static bool has_usual_types(const struct npl *plan)
{
    const struct row_problem *p = &plan->problem;
    for (int a = 0; a < NORMA_ARG_MEAN; a++) {
        const norma_dtype t = p->arg[a].dtype, usual = p->arg[NORMA_ARG_X].dtype;
        if (p->arg[a].present && t != usual && !(row_arg_is_shared((norma_arg)a) && t == NORMA_FLOAT32))
            return false;
    }
    return true;
}

// Whether the kernels exist for this row length and these types; the cut may still fail.
static bool take(struct npl *plan, const struct npl_variant *variant)
{
    const struct norma_caps *caps = plan->caps;
    uint64_t n = (uint64_t)plan->problem.n;
    plan->variant = variant;
    plan->team = team_of(variant, caps, n);
    plan->local = local_of(variant, caps, plan->team);
    plan->cells = 0;
    if (variant->scalar)
        return true;
    if (plan->local > 1 && (plan->local > caps->max_workgroup || plan->local * TEAM_LOCAL_BYTES > caps->local_memory))
        return false;
    if (variant->registers && (n > (uint64_t)plan->team * TEAM_ELEMENTS || !has_usual_types(plan)))
        return false;
    if (!variant->split)
        return plan->chunks <= NORMA_FAN;
    plan->cells = plan->chunks + 1; // the chunks' results, the merges', the finished row
    for (uint32_t i = 1; i < plan->levels; i++)
        plan->cells += plan->level_inputs[i];
    return true;
}

// Whether the variant is a good choice for the cut that it got.
static bool suits(const struct npl *plan)
{
    const struct npl_variant *variant = plan->variant;
    uint64_t units = plan->caps->compute_units;
    bool is_short = plan->problem.n < SPLIT_ROW || (plan->problem.n == SPLIT_ROW && !is_cpu(plan->caps));
    if (variant->scalar || variant->split)
        return true;
    if (is_cpu(plan->caps))
        return !variant->registers && (is_short || plan->tile_rows >= ROWS_PER_CORE * units);
    return variant->registers || is_short || plan->tile_rows >= ROWS_PER_COMPUTE_UNIT * units;
}

static norma_status choose_named(struct npl *plan, const char *name)
{
    const struct npl_variant *variant = NULL;
    for (size_t i = 0; i < VARIANTS; i++)
        if (strcmp(variants[i].name, name) == 0)
            variant = &variants[i];
    if (!variant || !supported(variant, plan->caps))
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "variant: this device has no \"%s\"", name);
    if (!take(plan, variant))
        return norma_fail(NORMA_ERROR_UNSUPPORTED, "variant: \"%s\" cannot do rows of %lld elements of these types",
                          name, (long long)plan->problem.n);
    if (!npl_cut(plan, true))
        return norma_fail(
            NORMA_ERROR_UNSUPPORTED,
            "variant: \"%s\" cannot do rows of %lld elements within the limits of device and memory_budget", name,
            (long long)plan->problem.n);
    return NORMA_OK;
}

norma_status npl_choose(struct npl *plan)
{
    if (plan->options->variant)
        return choose_named(plan, plan->options->variant);
    const uint32_t left_out = plan->options->left_out;
    // First what suits, then what does it at all, then what does it too slowly for the time budget.
    for (int attempt = 0; attempt < 3; attempt++)
        for (size_t i = 0; i < VARIANTS; i++)
            if (!(left_out & norma_variant_bit(variants[i].name)) && supported(&variants[i], plan->caps) &&
                take(plan, &variants[i]) && npl_cut(plan, attempt == 2) && (attempt > 0 || suits(plan)))
                return NORMA_OK;
    if (left_out)
        return norma_fail(NORMA_ERROR_UNSUPPORTED,
                          "x: no variant is left for rows of %lld elements; the driver does not compile the others",
                          (long long)plan->problem.n);
    return norma_fail(NORMA_ERROR_UNSUPPORTED,
                      "x: rows of %lld elements do not fit the device's limits and memory_budget (%llu bytes)",
                      (long long)plan->problem.n, (unsigned long long)plan->budget);
}

const char *norma_variant_name(const struct norma_caps *caps, size_t index)
{
    for (size_t i = 0; i < VARIANTS; i++)
        if (supported(&variants[i], caps) && index-- == 0)
            return variants[i].name;
    return NULL;
}
