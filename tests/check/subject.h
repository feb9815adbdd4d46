// A case of either family, rows (case.h) or strided (strided_case.h), as those see it who run, judge and compare cases.
#ifndef NORMA_CHECK_SUBJECT_H
#define NORMA_CHECK_SUBJECT_H

#include "platform.h"
#include <norma/problem.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct check_verdict {
    bool ok;
    double worst;      // the largest error/bound
    double worst32;    // the same of float32 outputs, which are not rounded to a coarser type
    char message[240]; // what is wrong, if anything
};

// The functions get the family's own structs.
struct check_family {
    const char *option; // what chooses its cases on the command line, with a space before it
    uint64_t canary;    // bytes around each tensor, at least
    // One line about the case.
    void (*describe)(const void *c, char *text, size_t size);
    // Copies the outputs between an arena and dense memory, in the order of norma_arg.
    void (*copy)(const void *c, unsigned char *arena, unsigned char *outputs, bool into_arena);
    // Compares the outputs, in the arena and dense, with what is expected.
    void (*judge)(const void *c, const void *expected, const unsigned char *arena, const unsigned char *outputs,
                  struct check_verdict *verdict);
};

struct check_part { // a tensor of the case
    norma_arg arg;
    norma_dtype dtype;
    bool output;
    int64_t count;        // of an output: elements that the family's copy takes, else 0
    uint64_t begin, span; // bytes into the arena, of the first element; from there to behind the last
};

struct check_subject {
    const struct check_family *family;
    const void *c;
    norma_op op;
    uint64_t seed, index;
    const unsigned char *arena; // as it is before the operator runs
    uint64_t arena_size;
    size_t parts;
    struct check_part part[NORMA_ARG_COUNT]; // in the order of norma_arg
};

// Bytes of all outputs, dense.
uint64_t check_outputs_size(const struct check_subject *s);
// Copies the outputs out of an arena that the operator ran on.
void check_gather(const struct check_subject *s, const unsigned char *arena, unsigned char *outputs);

// Compares outputs with what is expected, and the rest of the arena with what it was: canaries, gaps and inputs. Puts
// the outputs' places in the arena back to what they were.
struct check_verdict check_judge(const struct check_subject *s, const void *expected, unsigned char *arena,
                                 const unsigned char *outputs);
// Takes one element's error/bound. True where it is the worst so far and too large: the message is then the caller's.
bool check_verdict_add(struct check_verdict *verdict, norma_dtype dtype, double error);

// Equal bits, any NaN being equal to any other. On a difference the message says where.
bool check_same_bits(const struct check_subject *s, const unsigned char *a, const unsigned char *b, char *message,
                     size_t size);
// FNV-1a over the outputs, any NaN counting as the same.
uint64_t check_digest(const struct check_subject *s, const unsigned char *outputs, uint64_t hash);

// Words that are no float's usual bits, all over a new arena of that size. NULL: out of memory.
unsigned char *check_canaries(uint64_t seed, uint64_t index, uint64_t size);

// Prints behind the first `used` characters of a text of that size. Returns how many it has now.
size_t check_append(char *text, size_t size, size_t used, const char *format, ...) NORMA_PRINTF(4, 5);

#endif
