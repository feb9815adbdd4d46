// Structs of an earlier or a later header: what they lack is 0, what they have more must be. Each lies in a block of
// its very size, so that a sanitizer sees what reaches beyond.
#include "external.h"
#include "sized.h"
#include <stdlib.h>

// The first `size` bytes of *from, with the size field to match; later ones have `beyond` in each byte more.
static void *of_version(const void *from, size_t now, size_t size, int beyond)
{
    char *block = malloc(size);
    assert_non_null(block);
    memset(block, beyond, size);
    memcpy(block, from, now < size ? now : size);
    memcpy(block, &size, sizeof size);
    return block;
}

static void test_rules(void **state)
{
    (void)state;
    const size_t words[] = {4 * sizeof(size_t), 2, 3, 4}, half = 2 * sizeof(size_t), twice = 2 * sizeof words;
    size_t to[4];
    void *block = of_version(words, sizeof words, half, 0);
    take(norma_sized_read(to, sizeof to, block, "", "words"));
    assert_int_equal(to[0], sizeof to);
    assert_int_equal(to[1], 2);
    assert_int_equal(to[2], 0);
    assert_int_equal(to[3], 0);
    take(norma_sized_write(block, words, sizeof words, "words"));
    assert_memory_equal(block, &half, sizeof half);
    free(block);
    block = of_version(words, sizeof words, twice, 0);
    take(norma_sized_read(to, sizeof to, block, "", "words"));
    assert_memory_equal(to, words, sizeof to);
    memset((char *)block + sizeof words, 0x33, sizeof words);
    refused(norma_sized_read(to, sizeof to, block, "", "words"), NORMA_ERROR_INVALID_ARGUMENT, "size:", "not 0");
    take(norma_sized_write(block, words, sizeof words, "words")); // a result has nothing beyond
    for (size_t i = sizeof words; i < twice; i++)
        assert_int_equal(((char *)block)[i], 0);
    free(block);
    const size_t wrong[] = {0, 1, sizeof(size_t), sizeof words - 1, sizeof words + 1, 1u << 20, SIZE_MAX & ~(size_t)7};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        memcpy(to, &wrong[i], sizeof wrong[i]);
        refused(norma_sized_read(to, sizeof to, to, "", "words"), NORMA_ERROR_INVALID_ARGUMENT, "size:", "words");
        refused(norma_sized_write(to, words, sizeof to, "words"), NORMA_ERROR_INVALID_ARGUMENT, "size:", "words");
    }
}

static void test_problem(void **state)
{
    (void)state;
    const int64_t shape[] = {ROWS, COLUMNS};
    float in[COUNT], wanted[COUNT], out[COUNT];
    norma_context *context = external_context("scalar");
    norma_device *device = external_device(context);
    norma_tensor x = norma_tensor_host(NORMA_FLOAT32, 2, shape, in),
                 y = norma_tensor_host(NORMA_FLOAT32, 2, shape, out);
    norma_problem p = NORMA_LAYER_NORM_DEFAULTS;
    p.x = &x;
    p.y = &y;
    external_fill(in, 1);
    take(norma_run(context, &p));
    memcpy(wanted, out, sizeof out);
    const size_t least = offsetof(norma_problem, y) + sizeof p.y; // what a header without the rest would have
    const size_t sizes[] = {least, sizeof p - 8, sizeof p + 8, sizeof p + 800};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        norma_problem *other = of_version(&p, sizeof p, sizes[i], 0);
        norma_prediction prediction;
        size_t count = 0;
        norma_plan *plan = NULL;
        norma_needs needs = {.size = sizeof needs};
        memset(out, 0, sizeof out);
        take(norma_run(context, other));
        assert_memory_equal(out, wanted, sizeof out);
        take(norma_explain(context, other, &prediction, 1, &count));
        take(norma_plan_create(device, other, NULL, &plan));
        take(norma_plan_get_needs(plan, other, &needs));
        norma_plan_destroy(&plan);
        free(other);
    }
    norma_problem *later = of_version(&p, sizeof p, sizeof p + 16, 1);
    refused(norma_run(context, later), NORMA_ERROR_INVALID_ARGUMENT, "size:", "norma_problem");
    free(later);
    void *earlier = of_version(&p, sizeof p, least, 0);
    const norma_problem defaults = norma_problem_defaults(NORMA_RMS_NORM);
    take(norma_problem_init(earlier, NORMA_RMS_NORM));
    assert_memory_equal(earlier, &least, sizeof least);
    assert_memory_equal((char *)earlier + sizeof least, (const char *)&defaults + sizeof least, least - sizeof least);
    free(earlier);
    refused(norma_problem_init(NULL, NORMA_RMS_NORM), NORMA_ERROR_INVALID_ARGUMENT, "problem:", "NULL");
    norma_context_destroy(&context);
}

static void test_params(void **state)
{
    (void)state;
    norma_context_params params = NORMA_CONTEXT_DEFAULTS;
    norma_context *context = NULL;
    params.device = "scalar";
    params.cache_dir = "";
    const size_t sizes[] = {offsetof(norma_context_params, memory_budget), sizeof params + 64};
    for (size_t i = 0; i < 2; i++) {
        void *other = of_version(&params, sizeof params, sizes[i], 0);
        take(norma_context_create(other, &context));
        norma_context_destroy(&context);
        free(other);
    }
    void *later = of_version(&params, sizeof params, sizeof params + 8, 9);
    refused(norma_context_create(later, &context), NORMA_ERROR_INVALID_ARGUMENT, "size:", "norma_context_params");
    assert_null(context);
    free(later);
    context = external_context("scalar");
    const int64_t shape[] = {ROWS, COLUMNS};
    norma_tensor x = norma_tensor_buffer(NORMA_FLOAT32, 2, shape, NULL, 0);
    norma_problem p = NORMA_LAYER_NORM_DEFAULTS;
    norma_plan_params plan_params = NORMA_PLAN_DEFAULTS;
    norma_plan *plan = NULL;
    p.x = p.y = &x;
    void *earlier = of_version(&plan_params, sizeof plan_params, offsetof(norma_plan_params, memory_budget), 0);
    take(norma_plan_create(external_device(context), &p, earlier, &plan));
    norma_plan_destroy(&plan);
    free(earlier);
    norma_context_destroy(&context);
}

static void test_results(void **state)
{
    (void)state;
    norma_context *context = external_context("scalar");
    norma_device *device = external_device(context);
    norma_device_info info = {.size = sizeof info};
    take(norma_device_get_info(device, &info));
    const size_t before = offsetof(norma_device_info, host_alignment); // as it was in the first header
    void *earlier = of_version(&info, sizeof info, before, 0);
    memset((char *)earlier + sizeof(size_t), 0x5a, before - sizeof(size_t));
    take(norma_device_get_info(device, earlier));
    assert_memory_equal(earlier, &before, sizeof before);
    assert_memory_equal((char *)earlier + sizeof(size_t), (char *)&info + sizeof(size_t), before - sizeof(size_t));
    free(earlier);
    norma_device_info *later = of_version(&info, sizeof info, sizeof info + 16, 0x77);
    take(norma_device_get_info(device, later));
    assert_memory_equal((char *)later + sizeof(size_t), (char *)&info + sizeof(size_t), sizeof info - sizeof(size_t));
    for (int i = 0; i < 16; i++)
        assert_int_equal(((char *)(later + 1))[i], 0);
    free(later);
    norma_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rules), cmocka_unit_test(test_problem),
                                       cmocka_unit_test(test_params), cmocka_unit_test(test_results)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
