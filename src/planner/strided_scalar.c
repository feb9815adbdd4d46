// The scalar path takes the form as it is: its dispatch's table is the form.
#include "backend.h"
#include "strided.h"

norma_status nst_schedule_scalar(const struct norma_form *form, const struct norma_plan_options *options,
                                 struct norma_schedule *schedule)
{
    struct norma_form *copy = norma_alloc(options->allocator, sizeof(*copy));
    schedule->dispatches = norma_zalloc(options->allocator, 1, sizeof(*schedule->dispatches));
    if (!copy || !schedule->dispatches) {
        norma_free(copy);
        return norma_fail(NORMA_ERROR_OUT_OF_MEMORY, "the plan");
    }
    *copy = *form;
    norma_dispatch *d = schedule->dispatches;
    *d = (norma_dispatch){.kernel = "strided_whole",
                          .table = (const uint32_t *)copy,
                          .table_size = sizeof(*copy),
                          .groups = {1, 1, 1},
                          .local = {1, 1, 1}};
    schedule->dispatch_count = 1;
    for (int a = 0; a < NORMA_ARG_COUNT; a++)
        if (form->arg[a].present)
            d->bindings[d->binding_count++] = (norma_bound){.slot = (uint32_t)a, .arg = form->arg[a].source};
    return NORMA_OK;
}
