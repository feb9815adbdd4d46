// A table of text, columns as wide as their widest cell.
#ifndef NORMA_TOOLS_TABLE_H
#define NORMA_TOOLS_TABLE_H

#include <stddef.h>

#define TABLE_MAX_COLUMNS 12

struct table {
    size_t columns, cells, capacity;
    char **cell;
    unsigned right; // bit c: column c is flush right
};

// headers: columns strings; those that begin with '>' make a column flush right.
void table_start(struct table *table, size_t columns, const char *const *headers);
// Appends one cell, row by row.
void table_add(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Prints to stdout and frees everything.
void table_print(struct table *table);

#endif
