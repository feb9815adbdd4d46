// What the cases have covered: operator x direction x type and layout of x x driver; and the types of y.
#ifndef NORMA_CHECK_STRIDED_TABLE_H
#define NORMA_CHECK_STRIDED_TABLE_H

#include "strided_case.h"

enum { STRIDED_TABLE_DRIVERS = 8, STRIDED_TABLE_TYPES = NORMA_FLOAT8_E4M3FN + 1 };

struct strided_table {
    uint32_t cases[STRIDED_TABLE_DRIVERS][NORMA_OP_COUNT][2][NORMA_FLOAT64 + 1][STRIDED_LAYOUT_COUNT];
    uint32_t y[STRIDED_TABLE_DRIVERS][NORMA_OP_COUNT][STRIDED_TABLE_TYPES];
};

// One case that a driver has run and got right.
void strided_table_count(struct strided_table *table, int driver, const struct strided_case *c);
// Cells of the driver that no case has filled, of the operators in ops (bit op; 0: all). float64 belongs to the scalar
// path.
int strided_table_empty(const struct strided_table *table, int driver, const char *name, uint32_t ops);
// A page in Markdown. how: how many cases, of which seed. False where the file cannot be written.
bool strided_table_write(const struct strided_table *table, const char *const *names, int drivers, const char *how,
                         const char *path);

#endif
