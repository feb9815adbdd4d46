// What tools/quickstart runs: two layer norms of a transformer on real activations, and one with 1e4 added to them, on
// every device found; each compared with the scalar path and with what is expected.
#include "message.h"
#include "npy.h"
#include "progress.h"
#include "statistics.h"
#include "table.h"
#include "values.h"
#include <math.h>
#include <norma/norma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RUNS = 1001, X = 0, WEIGHT, BIAS, RESIDUAL, EXPECTED, FILES };

struct job {
    const char *name, *prefix; // of its files
    bool residual;
    float offset; // added to x; the expected values are then computed here, in double
    struct npy file[FILES];
    norma_tensor x;
    float *shifted, *expected, *scalar, *got;
    int64_t rows, n;
};

struct result {
    double to_scalar, to_expected, seconds; // largest difference; median
};

static const double eps = 1e-12; // BERT's

static bool load(struct job *job, const char *folder)
{
    static const char *const names[FILES] = {"x", "weight", "bias", "residual", "y"};
    for (int i = 0; i < FILES; ++i) {
        char path[1024];
        if (i == RESIDUAL && !job->residual)
            continue;
        snprintf(path, sizeof path, "%s/%s_%s.npy", folder, job->prefix, names[i]);
        if (!npy_open(names[i], path, false, &job->file[i]))
            return false;
        if (job->file[i].tensor.dtype != NORMA_FLOAT32)
            return complain("%s: %s is not float32", names[i], path);
    }
    job->x = job->file[X].tensor;
    job->n = job->x.rank ? job->x.shape[job->x.rank - 1] : 1;
    int64_t count = tensor_elements(&job->x);
    job->rows = job->n ? count / job->n : 0;
    if (tensor_elements(&job->file[EXPECTED].tensor) != count)
        return complain("y: %s_y.npy has another shape than %s_x.npy", job->prefix, job->prefix);
    float **const arrays[] = {&job->shifted, &job->expected, &job->scalar, &job->got};
    for (int i = 0; i < 4; ++i) {
        *arrays[i] = calloc((size_t)count + 1, sizeof(float));
        if (!*arrays[i])
            return complain("x: no memory for %lld elements", (long long)count);
    }
    return true;
}

// The float64 result for x as it is in float32 once the offset is added: what any arithmetic can know.
static void expect(struct job *job)
{
    const float *x = job->file[X].tensor.data, *weight = job->file[WEIGHT].tensor.data,
                *bias = job->file[BIAS].tensor.data;
    for (int64_t row = 0; row < job->rows; ++row) {
        float *h = job->shifted + row * job->n;
        double mean = 0, var = 0;
        for (int64_t i = 0; i < job->n; ++i) {
            h[i] = x[row * job->n + i] + job->offset;
            mean += h[i];
        }
        mean /= (double)job->n;
        for (int64_t i = 0; i < job->n; ++i)
            var += (h[i] - mean) * (h[i] - mean);
        double rstd = 1 / sqrt(var / (double)job->n + eps);
        for (int64_t i = 0; i < job->n; ++i)
            job->expected[row * job->n + i] = (float)((h[i] - mean) * rstd * weight[i] + bias[i]);
    }
    job->x.data = job->shifted;
}

static double largest_difference(const float *a, const float *b, int64_t count)
{
    double largest = 0;
    for (int64_t i = 0; i < count; ++i) {
        double difference = fabs((double)a[i] - (double)b[i]);
        // Written so that a NaN counts.
        if (!(difference <= largest))
            largest = difference;
    }
    return largest;
}

static bool run(struct job *job, norma_context *context, float *y, double *seconds)
{
    norma_problem problem = NORMA_LAYER_NORM_DEFAULTS;
    norma_tensor out = norma_tensor_host(NORMA_FLOAT32, job->x.rank, job->x.shape, y);
    problem.eps = eps;
    problem.x = &job->x;
    problem.y = &out;
    problem.weight = &job->file[WEIGHT].tensor;
    problem.bias = &job->file[BIAS].tensor;
    if (job->residual)
        problem.residual = &job->file[RESIDUAL].tensor;
    double times[MAX_RUNS];
    size_t count = 0;
    // The first call opens the device and compiles.
    if (!succeeded(norma_run(context, &problem)))
        return false;
    for (double until = now() + 0.1; count < MAX_RUNS && (count < 5 || now() < until); ++count) {
        double start = now();
        if (!succeeded(norma_run(context, &problem)))
            return false;
        times[count] = now() - start;
    }
    *seconds = median(times, count);
    return true;
}

static uint64_t bytes_of(const struct job *job)
{
    uint64_t x = tensor_bytes(&job->x), parameters = tensor_bytes(&job->file[WEIGHT].tensor) * 2;
    return (job->residual ? 3 : 2) * x + parameters;
}

static bool on_device(struct job *jobs, size_t count, const norma_device_info *info, bool scalar, struct table *table,
                      bool *all_good)
{
    norma_context *context = NULL;
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    params.device = info->id;
    if (!succeeded(norma_context_create(&params, &context)))
        return false;
    bool good = true;
    for (size_t i = 0; good && i < count; ++i) {
        struct job *job = &jobs[i];
        int64_t elements = job->rows * job->n;
        struct result r = {0};
        const float *expected = job->offset > 0 ? job->expected : job->file[EXPECTED].tensor.data;
        float *y = scalar ? job->scalar : job->got;
        good = run(job, context, y, &r.seconds);
        r.to_scalar = largest_difference(y, job->scalar, elements);
        r.to_expected = largest_difference(y, expected, elements);
        // The expected values are themselves float32 results of another library; outputs reach about 10.
        bool right = good && r.to_scalar <= 2e-5 && r.to_expected <= 2e-5;
        *all_good = *all_good && right;
        table_add(table, "%s", info->id);
        table_add(table, "%.60s", info->driver);
        table_add(table, "%s", job->name);
        table_add(table, "%.1e", r.to_scalar);
        table_add(table, "%.1e", r.to_expected);
        table_add(table, "%.1f", r.seconds * 1e6);
        table_add(table, "%.2f", (double)bytes_of(job) / r.seconds / 1e9);
        table_add(table, "%s", right ? "ok" : "WRONG");
    }
    norma_context_destroy(&context);
    return good;
}

// The scalar path first, which the others are compared with.
static bool on_all_devices(struct job *jobs, size_t count, bool *all_good)
{
    static const char *const headers[] = {"device", "driver", "input", ">error to scalar", ">error to expected",
                                          ">us",    ">GB/s",  ""};
    struct table table;
    norma_context *context = NULL;
    if (!succeeded(norma_context_create(NULL, &context)))
        return false;
    table_start(&table, 8, headers);
    size_t devices = norma_context_device_count(context), drivers = 0;
    bool good = true;
    for (int scalar = 1; scalar >= 0; --scalar) {
        for (size_t i = 0; good && i < devices; ++i) {
            norma_device_info info = {.size = sizeof info};
            good = succeeded(norma_device_get_info(norma_context_device(context, i), &info));
            if (!good || !strcmp(info.backend, "scalar") != (scalar == 1))
                continue;
            if (!info.usable) {
                complain("%s (%s) is not usable: %s", info.id, info.name, info.reason);
                continue;
            }
            drivers += !scalar;
            good = on_device(jobs, count, &info, scalar, &table, all_good);
        }
    }
    norma_context_destroy(&context);
    table_print(&table);
    if (good && drivers == 0)
        printf("\nNo driver was found: that was the scalar path. These packages give one:\n"
               "  pocl-opencl-icd      OpenCL on any CPU\n"
               "  mesa-vulkan-drivers  Vulkan on AMD and Intel GPUs, and on any CPU\n");
    return good;
}

int main(int argc, const char **argv)
{
    struct job jobs[] = {
        {.name = "embedding", .prefix = "embedding"},
        {.name = "attention + residual", .prefix = "attention", .residual = true},
        {.name = "embedding + 1e4", .prefix = "embedding", .offset = 1e4f},
    };
    enum { JOBS = sizeof jobs / sizeof *jobs };
    if (argc != 2) {
        complain("usage: quickstart-main FOLDER, where embedding_x.npy and the rest lie");
        return 2;
    }
    bool good = true, right = true;
    for (int i = 0; good && i < JOBS; ++i) {
        good = load(&jobs[i], argv[1]);
        if (good && jobs[i].offset > 0)
            expect(&jobs[i]);
    }
    if (good) {
        printf("layer_norm of MiniLM's activations, %lldx%lld float32, from host memory\n\n", (long long)jobs[0].rows,
               (long long)jobs[0].n);
        good = on_all_devices(jobs, JOBS, &right);
        if (good && right)
            printf("\nerror: the largest difference; expected: all-MiniLM-L6-v2's own outputs, and with 1e4 added the\n"
                   "float64 result for the same input. Next: build/norma --help, tools/test.\n");
    }
    for (int i = 0; i < JOBS; ++i) {
        for (int f = 0; f < FILES; ++f)
            npy_close(&jobs[i].file[f]);
        free(jobs[i].shifted);
        free(jobs[i].expected);
        free(jobs[i].scalar);
        free(jobs[i].got);
    }
    return good && right ? 0 : 1;
}
