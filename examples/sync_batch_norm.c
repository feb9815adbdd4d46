// Synchronised batch norm: a batch in two pieces, each on a device of its own (or both on the only one), with the
// statistics of the whole. Between processes the stats would travel by MPI, say: 5 floats a channel.
#include <math.h>
#include <norma/norma.h>
#include <stdio.h>

enum { N = 8, N1 = 3, C = 4, SPACE = 25, SAMPLE = C * SPACE };

static float x[N * SAMPLE], y[N * SAMPLE], whole[N * SAMPLE], weight[C], bias[C], parts[2][5][C], stats[5][C];

static norma_tensor samples(float *data, int first, int count)
{
    const int64_t shape[] = {count, C, SPACE};
    return norma_tensor_host(NORMA_FLOAT32, 3, shape, data + first * SAMPLE);
}

static int failed(norma_status status)
{
    if (status != NORMA_OK)
        fprintf(stderr, "%s\n", norma_last_error());
    return status != NORMA_OK;
}

// One device's share: the statistics of its samples, or, once those of all are merged, its part of y.
static norma_status run_piece(norma_context *context, norma_op op, int piece)
{
    const int64_t rows[] = {5, C}, channels[] = {C};
    const int first = piece ? N1 : 0, count = piece ? N - N1 : N1;
    const norma_tensor tx = samples(x, first, count), ty = samples(y, first, count);
    const norma_tensor own = norma_tensor_host(NORMA_FLOAT32, 2, rows, parts[piece]),
                       merged = norma_tensor_host(NORMA_FLOAT32, 2, rows, stats),
                       tw = norma_tensor_host(NORMA_FLOAT32, 1, channels, weight),
                       tb = norma_tensor_host(NORMA_FLOAT32, 1, channels, bias);
    norma_problem p = norma_problem_defaults(op);
    p.x = &tx;
    p.stats = op == NORMA_BATCH_NORM_STATS ? &own : &merged;
    if (op == NORMA_BATCH_NORM_APPLY) {
        p.y = &ty;
        p.weight = &tw;
        p.bias = &tb;
    }
    return norma_run(context, &p);
}

static norma_status merge(norma_context *context)
{
    const int64_t rows[] = {2, 5, C};
    const norma_tensor all = norma_tensor_host(NORMA_FLOAT32, 3, rows, parts),
                       merged = norma_tensor_host(NORMA_FLOAT32, 2, rows + 1, stats);
    norma_problem p = norma_problem_defaults(NORMA_BATCH_NORM_MERGE);
    p.parts = &all;
    p.stats = &merged;
    return norma_run(context, &p);
}

static norma_status run_whole(norma_context *context)
{
    const int64_t channels[] = {C};
    const norma_tensor tx = samples(x, 0, N), ty = samples(whole, 0, N),
                       tw = norma_tensor_host(NORMA_FLOAT32, 1, channels, weight),
                       tb = norma_tensor_host(NORMA_FLOAT32, 1, channels, bias);
    norma_problem p = norma_problem_defaults(NORMA_BATCH_NORM);
    p.training = 1;
    p.x = &tx;
    p.y = &ty;
    p.weight = &tw;
    p.bias = &tb;
    return norma_run(context, &p);
}

int main(void)
{
    static const char *const names[] = {"vulkan", "opencl", "scalar"};
    norma_context *piece[2] = {NULL, NULL};
    int found = 0, bad = 0;
    for (int i = 0; i < N * SAMPLE; i++)
        x[i] = 100 + sinf(1.7f * (float)i) * (float)(1 + i / SPACE % C);
    for (int c = 0; c < C; c++) {
        weight[c] = 1 + 0.1f * (float)c;
        bias[c] = 0.5f * (float)c;
    }
    for (int i = 0; i < 3 && found < 2; i++) {
        norma_context_params params = NORMA_CONTEXT_DEFAULTS;
        params.device = names[i];
        if (norma_context_create(&params, &piece[found]) == NORMA_OK)
            printf("piece %d on %s\n", found++, names[i]);
    }
    norma_context *second = found > 1 ? piece[1] : piece[0];
    bad = failed(run_piece(piece[0], NORMA_BATCH_NORM_STATS, 0)) ||
          failed(run_piece(second, NORMA_BATCH_NORM_STATS, 1)) || failed(merge(second)) ||
          failed(run_piece(piece[0], NORMA_BATCH_NORM_APPLY, 0)) ||
          failed(run_piece(second, NORMA_BATCH_NORM_APPLY, 1)) || failed(run_whole(piece[0]));
    float largest = 0;
    for (int i = 0; i < N * SAMPLE; i++)
        largest = fmaxf(largest, fabsf(y[i] - whole[i]) / (1 + fabsf(whole[i])));
    printf("%g samples a channel; the largest difference from batch_norm of the whole is %g\n", stats[0][0], largest);
    for (int i = 0; i < 2; i++)
        norma_context_destroy(&piece[i]);
    return bad || !(largest < 1e-6f);
}
