// What the cases have covered: operator x direction x type and layout of x x driver.
#ifndef NORMA_CHECK_STRIDED_TABLE_H
#define NORMA_CHECK_STRIDED_TABLE_H

#include "strided_case.h"

enum { STRIDED_TABLE_DRIVERS = 8 };

struct strided_table {
    uint32_t cases[STRIDED_TABLE_DRIVERS][NORMA_OP_COUNT][2][NORMA_FLOAT64 + 1][STRIDED_LAYOUT_COUNT];
};

// One case that a driver has run and got right.
void strided_table_count(struct strided_table *table, int driver, const struct strided_case *c);
// Cells of the driver that no case has filled, of the operators in ops (bit op; 0: all). float64 belongs to the scalar
// path.
int strided_table_empty(const struct strided_table *table, int driver, const char *name, uint32_t ops);
// A page in Markdown. command: what made it. False where the file cannot be written.
bool strided_table_write(const struct strided_table *table, const char *const *names, int drivers, const char *command,
                         const char *path);

#endif
