// The programs that a form of the strided family may need, whatever its shape and strides.
#include "strided.h"

size_t norma_form_programs(const struct norma_form *form, const struct norma_caps *caps,
                           norma_dispatch programs[NORMA_FORM_PROGRAMS])
{
    // In pairs: forward, backward.
    static const char *const kernels[][NORMA_FORM_PROGRAMS] = {
        {"strided_stats", "strided_merge", "strided_finish", "strided_apply"},
        {"strided_stats", "strided_merge", "strided_finish", "strided_sums", "strided_rescue", "strided_add",
         "strided_coefficients", "strided_grad", "strided_write"},
        {"strided_stats", "strided_merge", nst_switch_mix, "strided_apply"},
        {"strided_stats", "strided_merge", nst_switch_mix, "strided_sums", "strided_rescue", nst_switch_add,
         nst_switch_coefficients, "strided_add", nst_switch_write, "strided_grad", "strided_write"},
        {"strided_finish", "strided_apply"},
        {"strided_finish", "strided_sums", "strided_rescue", "strided_add", "strided_grad", "strided_write"},
        {"strided_gather", "strided_merge", "strided_finish"},
        {"strided_gather", "strided_add", "strided_write"},
        {"strided_window"},
    };
    static const uint32_t table[1]; // tells the strided kernels from the others
    const int pair = form->statistic == FORM_WINDOW   ? 4
                     : form->statistic == FORM_PARTS  ? 3
                     : form->statistic == FORM_MERGED ? 2
                     : form->mix                      ? 1
                                                      : 0;
    const char *const *list = kernels[2 * pair + form->backward];
    size_t count = 0;
    if (caps->api == NORMA_DRIVER_SCALAR)
        return 0;
    for (; count < NORMA_FORM_PROGRAMS && list[count]; count++) {
        programs[count] = (norma_dispatch){.kernel = list[count], .table = table};
        nst_set_local(caps, &programs[count]);
    }
    const bool scans = form->dynamic_scale || form->arg[NORMA_ARG_NONFINITE].present;
    const char *const more[] = {form->update_running ? nst_kernel_running : NULL,
                                form->count_batches ? nst_kernel_count : NULL,
                                scans ? "strided_scan" : NULL,
                                scans ? "strided_fold" : NULL,
                                scans ? "strided_result" : NULL,
                                form->renorm ? nst_kernel_renorm : NULL};
    for (size_t i = 0; i < sizeof(more) / sizeof(*more); i++) {
        if (!more[i])
            continue;
        programs[count] = (norma_dispatch){.kernel = more[i], .table = table};
        nst_set_local(caps, &programs[count++]);
    }
    return count + nst_quad_programs(form, caps, programs + count);
}
