#include "values.h"
#include "half.h"
#include "overlap.h"
#include <stdio.h>
#include <string.h>

void values_load(norma_dtype dtype, const void *data, int64_t start, int64_t count, float *values)
{
    const uint16_t *words = data;
    if (dtype == NORMA_FLOAT32) {
        if (count)
            memcpy(values, (const float *)data + start, (size_t)count * sizeof *values);
    } else if (dtype == NORMA_FLOAT16) {
        for (int64_t i = 0; i < count; ++i)
            values[i] = norma_half_to_float(words[start + i]);
    } else if (dtype == NORMA_INT64) {
        for (int64_t i = 0; i < count; ++i)
            values[i] = (float)((const int64_t *)data)[start + i];
    } else if (dtype == NORMA_FLOAT64) {
        for (int64_t i = 0; i < count; ++i)
            values[i] = (float)((const double *)data)[start + i];
    } else if (dtype == NORMA_INT32) {
        for (int64_t i = 0; i < count; ++i)
            values[i] = (float)((const int32_t *)data)[start + i];
    } else if (dtype == NORMA_INT8) {
        for (int64_t i = 0; i < count; ++i)
            values[i] = ((const int8_t *)data)[start + i];
    } else if (dtype == NORMA_FLOAT8_E4M3FN) {
        for (int64_t i = 0; i < count; ++i)
            values[i] = norma_float8_to_float(((const uint8_t *)data)[start + i]);
    } else {
        for (int64_t i = 0; i < count; ++i)
            values[i] = norma_bfloat_to_float(words[start + i]);
    }
}

void values_gather(norma_dtype dtype, const void *data, int64_t start, int64_t step, int64_t count, double *values)
{
    float single;
    for (int64_t i = 0, at = start; i < count; ++i, at += step) {
        if (dtype == NORMA_FLOAT64) {
            values[i] = ((const double *)data)[at];
            continue;
        }
        values_load(dtype, data, at, 1, &single);
        values[i] = (double)single;
    }
}

void values_store(norma_dtype dtype, void *data, int64_t start, int64_t count, const float *values)
{
    uint16_t *words = data;
    if (dtype == NORMA_FLOAT32) {
        if (count)
            memcpy((float *)data + start, values, (size_t)count * sizeof *values);
    } else if (dtype == NORMA_FLOAT16) {
        for (int64_t i = 0; i < count; ++i)
            words[start + i] = norma_float_to_half(values[i]);
    } else if (dtype == NORMA_INT64) {
        for (int64_t i = 0; i < count; ++i)
            ((int64_t *)data)[start + i] = (int64_t)values[i];
    } else if (dtype == NORMA_FLOAT64) {
        for (int64_t i = 0; i < count; ++i)
            ((double *)data)[start + i] = values[i];
    } else if (dtype == NORMA_INT32) {
        for (int64_t i = 0; i < count; ++i)
            ((int32_t *)data)[start + i] = (int32_t)values[i];
    } else if (dtype == NORMA_INT8) {
        for (int64_t i = 0; i < count; ++i)
            ((int8_t *)data)[start + i] = norma_float_to_int8(values[i]);
    } else if (dtype == NORMA_FLOAT8_E4M3FN) {
        for (int64_t i = 0; i < count; ++i)
            ((uint8_t *)data)[start + i] = norma_float_to_float8(values[i]);
    } else {
        for (int64_t i = 0; i < count; ++i)
            words[start + i] = norma_float_to_bfloat(values[i]);
    }
}

uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

float random_unit(uint64_t *state)
{
    return (float)(int32_t)(random_next(state) >> 32) * 0x1p-31f;
}

float random_normal(uint64_t *state)
{
    float sum = 0;
    for (int i = 0; i < 4; ++i) {
        uint64_t bits = random_next(state);
        for (int j = 0; j < 3; ++j)
            sum += (float)(bits >> (21 * j) & 0x1fffff) * 0x1p-21f;
    }
    return sum - 6;
}

int64_t tensor_elements(const norma_tensor *tensor)
{
    int64_t count = 1;
    for (int32_t i = 0; i < tensor->rank; ++i)
        count *= tensor->shape[i];
    return count;
}

static int64_t memory_elements(const norma_tensor *tensor)
{
    const norma_tensor blocks = norma_tensor_blocks(tensor);
    return tensor_elements(&blocks);
}

uint64_t tensor_bytes(const norma_tensor *tensor)
{
    return (uint64_t)memory_elements(tensor) * norma_dtype_size(tensor->dtype);
}

const char *shape_text(const norma_tensor *tensor, char *text)
{
    int used = 0;
    text[0] = 0;
    for (int32_t i = 0; i < tensor->rank; ++i)
        used += snprintf(text + used, 192 - (size_t)used, "%s%lld", i ? "x" : "", (long long)tensor->shape[i]);
    return text;
}
