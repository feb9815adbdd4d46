// Random numbers, and float16 and bfloat16 by hand: written apart from the library's, which they check.
#ifndef NORMA_CHECK_NUMBERS_H
#define NORMA_CHECK_NUMBERS_H

#include <norma/tensor.h>
#include <stdint.h>

// splitmix64 (Steele, Lea, Flood 2014): any seed is good, one addition a step.
static inline uint64_t check_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

// 0 to below - 1
static inline int64_t check_pick(uint64_t *state, int64_t below)
{
    return (int64_t)(check_random(state) % (uint64_t)below);
}

// 0 to 1, 1 excluded
static inline double check_uniform(uint64_t *state)
{
    return (double)(check_random(state) >> 11) * 0x1p-53;
}

// Near enough to a normal distribution: mean 0, deviation 1, at most 6 deviations.
static inline double check_normal(uint64_t *state)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += check_uniform(state);
    return sum;
}

double check_load(norma_dtype dtype, const void *element);
// Rounds to nearest even; float16 overflows to infinity.
void check_store(norma_dtype dtype, void *element, double value);
// The value that check_store would store.
double check_round(norma_dtype dtype, double value);
// Half a unit in the last place of the type at value, at least half the smallest denormal.
double check_half_ulp(norma_dtype dtype, double value);

#endif
