// What the build's options have left out (meson_options.txt).
#include "problem.h"
#include "try.h"
#include <string.h>

#define LEFT_OUT(...) norma_fail(NORMA_ERROR_UNSUPPORTED, __VA_ARGS__)

static const char *left_out_type(norma_dtype dtype)
{
    static const char *const types[] = {
#ifdef NORMA_WITHOUT_FLOAT16
        [NORMA_FLOAT16] = "float16",
#endif
#ifdef NORMA_WITHOUT_BFLOAT16
        [NORMA_BFLOAT16] = "bfloat16",
#endif
#ifdef NORMA_WITHOUT_FLOAT64
        [NORMA_FLOAT64] = "float64",
#endif
#ifdef NORMA_WITHOUT_INT8
        [NORMA_INT8] = "int8",
#endif
#ifdef NORMA_WITHOUT_FLOAT8_E4M3FN
        [NORMA_FLOAT8_E4M3FN] = "float8_e4m3fn",
#endif
        [NORMA_FLOAT32] = NULL,
    };
    return (size_t)dtype < sizeof(types) / sizeof(*types) ? types[dtype] : NULL;
}

norma_status norma_check_built(const norma_problem *problem)
{
#ifdef NORMA_OPERATORS
    char word[64];
    const size_t length = strlen(norma_op_name(problem->op));
    word[0] = ' ';
    memcpy(word + 1, norma_op_name(problem->op), length);
    memcpy(word + 1 + length, " ", 2);
    if (!strstr(NORMA_OPERATORS, word))
        return LEFT_OUT("op: this build has no %s (its option operators:%s)", norma_op_name(problem->op),
                        NORMA_OPERATORS);
#endif
#ifdef NORMA_WITHOUT_BACKWARD
    if (problem->direction == NORMA_BACKWARD)
        return LEFT_OUT("direction: this build has no backward (its option directions)");
#endif
    for (int a = 0; a < NORMA_ARG_COUNT; a++) {
        const norma_tensor *t = norma_problem_tensor(problem, a);
        const char *type = t ? left_out_type(t->dtype) : NULL;
        if (type)
            return LEFT_OUT("%s: this build has no %s (its option dtypes)", norma_arg_name(a), type);
    }
#ifdef NORMA_WITHOUT_STRIDED
    if (!norma_rows_suit(problem))
        return LEFT_OUT("%s: this build has layer_norm and rms_norm of contiguous rows alone, forward, without z, "
                        "addend and activation (its option layouts)",
                        problem->op == NORMA_LAYER_NORM || problem->op == NORMA_RMS_NORM ? "x" : "op");
#endif
    return NORMA_OK;
}
