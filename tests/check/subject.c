#include "subject.h"
#include "strided_numbers.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t check_outputs_size(const struct check_subject *s)
{
    uint64_t size = 0;
    for (size_t i = 0; i < s->parts; i++)
        size += (uint64_t)s->part[i].count * norma_dtype_size(s->part[i].dtype);
    return size;
}

void check_gather(const struct check_subject *s, const unsigned char *arena, unsigned char *outputs)
{
    s->family->copy(s->c, (unsigned char *)arena, outputs, false);
}

bool check_verdict_add(struct check_verdict *verdict, norma_dtype dtype, double error)
{
    if (dtype == NORMA_FLOAT32 && error > verdict->worst32)
        verdict->worst32 = error;
    if (error <= verdict->worst)
        return false;
    verdict->worst = error;
    if (error <= 1)
        return false;
    verdict->ok = false;
    return true;
}

// The first byte that changed though nothing may change there, told as a tensor and a distance.
static void judge_surroundings(const struct check_subject *s, const unsigned char *arena, struct check_verdict *verdict)
{
    if (memcmp(arena, s->arena, s->arena_size) == 0)
        return;
    uint64_t at = 0;
    while (arena[at] == s->arena[at])
        at++;
    const struct check_part *near = &s->part[0];
    for (size_t i = 1; i < s->parts; i++)
        if (s->part[i].begin <= at + s->family->canary && s->part[i].begin >= near->begin)
            near = &s->part[i];
    const bool outside = at < near->begin || at >= near->begin + near->span;
    verdict->ok = false;
    snprintf(verdict->message, sizeof verdict->message, "%s: byte %lld of %llu was changed (%s)",
             norma_arg_name(near->arg), (long long)at - (long long)near->begin, (unsigned long long)near->span,
             outside        ? "a canary"
             : near->output ? "a gap between elements"
                            : "an input");
}

struct check_verdict check_judge(const struct check_subject *s, const void *expected, unsigned char *arena,
                                 const unsigned char *outputs)
{
    struct check_verdict verdict = {.ok = true};
    s->family->judge(s->c, expected, arena, outputs, &verdict);
    unsigned char *before = malloc(check_outputs_size(s) + 1);
    if (!before) {
        verdict.ok = false;
        snprintf(verdict.message, sizeof verdict.message, "out of memory");
        return verdict;
    }
    check_gather(s, s->arena, before);
    s->family->copy(s->c, arena, before, true);
    judge_surroundings(s, arena, &verdict);
    free(before);
    return verdict;
}

bool check_same_bits(const struct check_subject *s, const unsigned char *a, const unsigned char *b, char *message,
                     size_t size)
{
    if (memcmp(a, b, check_outputs_size(s)) == 0)
        return true;
    for (size_t i = 0; i < s->parts; i++) {
        const struct check_part *p = &s->part[i];
        const size_t bytes = norma_dtype_size(p->dtype);
        for (int64_t j = 0; j < p->count; j++, a += bytes, b += bytes) {
            if (memcmp(a, b, bytes) == 0)
                continue;
            const double left = strided_load(p->dtype, a), right = strided_load(p->dtype, b);
            if (isnan(left) && isnan(right))
                continue;
            snprintf(message, size, "%s: element %lld of %lld is %.9g, elsewhere %.9g", norma_arg_name(p->arg),
                     (long long)j, (long long)p->count, left, right);
            return false;
        }
    }
    return true;
}

uint64_t check_digest(const struct check_subject *s, const unsigned char *outputs, uint64_t hash)
{
    for (size_t i = 0; i < s->parts; i++) {
        const struct check_part *p = &s->part[i];
        for (int64_t j = 0; j < p->count; j++, outputs += norma_dtype_size(p->dtype)) {
            const double value = strided_load(p->dtype, outputs);
            uint64_t word = 1;
            if (value == value)
                memcpy(&word, &value, 8);
            hash = (hash ^ word) * 0x100000001b3u;
        }
    }
    return hash;
}

unsigned char *check_canaries(uint64_t seed, uint64_t index, uint64_t size)
{
    unsigned char *arena = malloc(size);
    uint64_t s = seed ^ index;
    for (uint64_t i = 0; arena && i + 8 <= size; i += 8) {
        const uint64_t word = check_random(&s);
        memcpy(arena + i, &word, 8);
    }
    return arena;
}

size_t check_append(char *text, size_t size, size_t used, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    const int more = vsnprintf(text + used, size - used, format, list);
    va_end(list);
    used += more > 0 ? (size_t)more : 0;
    return used < size ? used : size - 1;
}
