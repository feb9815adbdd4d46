#include "message.h"
#include "tensors.h"
#include "values.h"
#include "verify.h"
#include "verify/form_reference.h"
#include <norma/run.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLICE_ELEMENTS = 1 << 20, MAX_THREADS = 64 };

// The work of one comparison, cut along the form's first dimension; threads take slice after slice.
struct comparison {
    const norma_problem *problem, *given;
    const struct norma_form *form;
    norma_problem expected; // the scalar path's outputs, where it ran
    bool by_scalar;
    int64_t slice, slices; // extent of one, and how many
    pthread_mutex_t lock;
    // guarded by lock
    int64_t next, done;
    struct verify_result *result;
    struct progress *progress;
    bool failed;
};

// The indices of a dense tensor's element.
static void place(struct verify_result *result, const norma_tensor *t, norma_arg arg, int64_t offset)
{
    result->arg = arg;
    result->rank = t->rank;
    for (int32_t d = t->rank - 1; d >= 0; --d) {
        result->index[d] = offset % t->shape[d];
        offset /= t->shape[d];
    }
}

// Elements from a tensor's first to that of a slice, whose form begins at 0 again.
static int64_t slice_offset(const struct norma_form *f, norma_arg arg, int64_t begin)
{
    return f->arg[arg].present ? f->arg[arg].stride[0] * begin : 0;
}

static void compare_output(const struct comparison *c, const struct norma_form *form, int64_t begin, norma_arg arg,
                           const struct form_reference_output *out, struct verify_result *result)
{
    const norma_arg source = form->arg[arg].source;
    const norma_tensor *got = norma_problem_tensor(c->problem, source),
                       *scalar = norma_problem_tensor(&c->expected, source);
    const int64_t count = form_output_count(form, arg), base = slice_offset(form, arg, begin);
    const size_t size = norma_dtype_size(got->dtype);
    struct norma_form by_scalar = *form; // whose outputs are not rounded to 16 bits
    by_scalar.arg[arg].dtype = scalar ? scalar->dtype : got->dtype;
    const char *data = (const char *)got->data + base * (int64_t)size, *trusted = NULL;
    if (c->by_scalar)
        trusted = (const char *)scalar->data + base * (int64_t)norma_dtype_size(scalar->dtype);
    for (int64_t i = 0; i < count; ++i) {
        const long double value = form_output_value(form, arg, data, i);
        const long double expected = trusted ? form_output_value(&by_scalar, arg, trusted, i) : out->value[i];
        const double error = form_reference_error(form, arg, expected, out->bound[i], value);
        if (verify_note(result, error, (double)value, (double)expected))
            place(result, got, source, base + form_output_offset(form, arg, i));
    }
}

static bool compare_slice(const struct comparison *c, int64_t slice, struct verify_result *result)
{
    const int64_t begin = slice * c->slice, whole = c->form->extent[0];
    struct norma_form form = *c->form;
    struct form_reference_output out[NORMA_ARG_COUNT];
    const void *data[NORMA_ARG_COUNT] = {NULL};
    if (c->slices > 1) {
        form.extent[0] = whole - begin < c->slice ? whole - begin : c->slice;
        form.groups = form.groups / whole * form.extent[0];
    }
    for (norma_arg arg = NORMA_ARG_X; arg < NORMA_ARG_COUNT; ++arg) {
        const norma_tensor *t = form.arg[arg].present ? norma_problem_tensor(c->given, form.arg[arg].source) : NULL;
        if (t && t->data)
            data[arg] = (const char *)t->data + slice_offset(&form, arg, begin) * (int64_t)norma_dtype_size(t->dtype);
    }
    if (!form_reference(&form, data, out))
        return false;
    for (norma_arg arg = NORMA_ARG_X; arg < NORMA_ARG_COUNT; ++arg)
        if (form_output_count(&form, arg))
            compare_output(c, &form, begin, arg, &out[arg], result);
    form_reference_finish(out);
    return true;
}

static void *compare_slices(void *user)
{
    struct comparison *c = user;
    struct verify_result result = {0};
    bool good = true;
    pthread_mutex_lock(&c->lock);
    while (good && c->next < c->slices) {
        const int64_t slice = c->next++;
        pthread_mutex_unlock(&c->lock);
        good = compare_slice(c, slice, &result);
        pthread_mutex_lock(&c->lock);
        ++c->done;
        if (c->progress)
            progress_set(c->progress, (double)c->done / (double)c->slices);
    }
    c->failed = c->failed || !good;
    verify_merge(c->result, &result);
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

static void compare_all(struct comparison *c)
{
    pthread_t threads[MAX_THREADS];
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int used = 1;
    while (used < cores && used < MAX_THREADS && used < c->slices &&
           !pthread_create(&threads[used], NULL, compare_slices, c))
        ++used;
    compare_slices(c);
    for (int i = 1; i < used; ++i)
        pthread_join(threads[i], NULL);
}

// Outputs that several groups add to are judged whole. Others are cut so that the long doubles of a few slices fit
// into memory.
static void cut(struct comparison *c)
{
    const struct norma_form *f = c->form;
    const int64_t elements = f->groups * f->n, extent = f->extent[0];
    c->slice = extent;
    c->slices = 1;
    if (f->backward || f->update_running || f->channel[0] != 0 || elements <= SLICE_ELEMENTS || extent < 2)
        return;
    c->slice = extent / (elements / SLICE_ELEMENTS + 1);
    c->slice = c->slice < 1 ? 1 : c->slice;
    c->slices = (extent + c->slice - 1) / c->slice;
}

// The same problem on the scalar path, its outputs in memory of their own and not rounded to 16 bits.
static bool run_scalar(struct comparison *c, norma_context *scalar, norma_tensor memory[NORMA_ARG_COUNT])
{
    c->expected = *c->given;
    for (norma_arg arg = NORMA_ARG_X; arg < NORMA_ARG_COUNT; ++arg) {
        const norma_tensor *t = norma_problem_tensor(c->problem, arg);
        if (!t || !norma_arg_is_output(c->problem, arg))
            continue;
        memory[arg] = *t;
        if (t->dtype != NORMA_FLOAT64 && t->dtype != NORMA_INT32 && t->dtype != NORMA_INT64)
            memory[arg].dtype = NORMA_FLOAT32;
        const uint64_t bytes = tensor_bytes(&memory[arg]);
        memory[arg].data = malloc(bytes ? bytes : 1);
        if (!memory[arg].data)
            return complain("verify: no memory for the scalar path's %s", norma_arg_name(arg));
        if (tensor_is_updated(arg))
            memcpy(memory[arg].data, norma_problem_tensor(c->given, arg)->data, bytes);
        *problem_slot(&c->expected, arg) = &memory[arg];
    }
    c->by_scalar = true;
    return succeeded(norma_run(scalar, &c->expected));
}

bool verify_form(const norma_problem *problem, const norma_problem *given, const struct norma_form *form,
                 norma_context *scalar, struct progress *progress, struct verify_result *result)
{
    struct comparison c = {.problem = problem, .given = given, .form = form, .result = result, .progress = progress};
    norma_tensor memory[NORMA_ARG_COUNT];
    memset(memory, 0, sizeof memory);
    bool good = !scalar || run_scalar(&c, scalar, memory);
    if (good) {
        cut(&c);
        pthread_mutex_init(&c.lock, NULL);
        compare_all(&c);
        pthread_mutex_destroy(&c.lock);
        good = !c.failed || complain("verify: no memory");
    }
    for (int arg = 0; arg < NORMA_ARG_COUNT; ++arg)
        free(memory[arg].data);
    return good;
}
