// Elements of any type as float32, which holds float16 and bfloat16 exactly (float64 is rounded); and random ones.
#ifndef NORMA_TOOLS_VALUES_H
#define NORMA_TOOLS_VALUES_H

#include <norma/tensor.h>
#include <stdint.h>

// Elements start .. start+count-1 of dense data.
void values_load(norma_dtype dtype, const void *data, int64_t start, int64_t count, float *values);
// Elements start, start + step, ... as double, which holds them all exactly.
void values_gather(norma_dtype dtype, const void *data, int64_t start, int64_t step, int64_t count, double *values);
// Rounded to nearest even.
void values_store(norma_dtype dtype, void *data, int64_t start, int64_t count, const float *values);

// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
uint64_t random_next(uint64_t *state);
// Even between -1 and 1.
float random_unit(uint64_t *state);
// About normal: twelve even numbers summed.
float random_normal(uint64_t *state);

// Product of the shape.
int64_t tensor_elements(const norma_tensor *tensor);
uint64_t tensor_bytes(const norma_tensor *tensor);
// "4096x768"; text holds 192 bytes.
const char *shape_text(const norma_tensor *tensor, char *text);

#endif
