#include "external.h"
#include <dirent.h>
#include <math.h>

norma_context *external_context(const char *device)
{
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    norma_context *context = NULL;
    params.device = device;
    params.cache_dir = "";
    take(norma_context_create(&params, &context));
    return context;
}

norma_device *external_device(norma_context *context)
{
    norma_device *device = NULL;
    take(norma_context_find_device(context, "auto", &device));
    return device;
}

void external_fill(float values[COUNT], int seed)
{
    for (int i = 0; i < COUNT; i++)
        values[i] = (float)((i * 37 + seed * 11) % 101) / 32.0F - 1.5F;
}

void external_norm(const float values[COUNT], float out[COUNT])
{
    for (int r = 0; r < ROWS; r++) {
        double mean = 0, m2 = 0;
        for (int i = 0; i < COLUMNS; i++)
            mean += (double)values[r * COLUMNS + i] / COLUMNS;
        for (int i = 0; i < COLUMNS; i++)
            m2 += ((double)values[r * COLUMNS + i] - mean) * ((double)values[r * COLUMNS + i] - mean);
        for (int i = 0; i < COLUMNS; i++)
            out[r * COLUMNS + i] = (float)(((double)values[r * COLUMNS + i] - mean) / sqrt(m2 / COLUMNS + 1e-5));
    }
}

norma_status external_run(norma_device *device, norma_buffer *from, uint64_t from_at, norma_buffer *to, uint64_t to_at)
{
    const int64_t shape[] = {ROWS, COLUMNS};
    norma_tensor x = norma_tensor_buffer(NORMA_FLOAT32, 2, shape, from, from_at);
    norma_tensor y = norma_tensor_buffer(NORMA_FLOAT32, 2, shape, to, to_at);
    norma_problem p = NORMA_LAYER_NORM_DEFAULTS;
    norma_plan *plan = NULL;
    norma_event *event = NULL;
    p.x = &x;
    p.y = &y;
    norma_status status = norma_plan_create(device, &p, NULL, &plan);
    if (status == NORMA_OK)
        status = norma_plan_run(plan, &p, &event);
    if (status == NORMA_OK)
        status = norma_event_wait(event);
    norma_event_destroy(&event);
    norma_plan_destroy(&plan);
    return status;
}

void external_near(const float got[COUNT], const float wanted[COUNT])
{
    for (int i = 0; i < COUNT; i++)
        if (!(fabs((double)got[i] - (double)wanted[i]) <= 4 * 8 * 0x1p-24)) // 8 roundings of at most half an ulp of 4
            fail_msg("element %d is %a, not %a", i, (double)got[i], (double)wanted[i]);
}

int external_fds(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}
