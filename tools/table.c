#include "table.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void append(struct table *table, char *text)
{
    if (table->cells == table->capacity) {
        size_t capacity = table->capacity ? 2 * table->capacity : 64;
        char **cell = realloc(table->cell, capacity * sizeof *cell);
        if (!cell) {
            free(text);
            return;
        }
        table->cell = cell;
        table->capacity = capacity;
    }
    table->cell[table->cells++] = text;
}

void table_start(struct table *table, size_t columns, const char *const *headers)
{
    memset(table, 0, sizeof *table);
    table->columns = columns;
    for (size_t i = 0; i < columns; ++i) {
        if (headers[i][0] == '>')
            table->right |= 1u << i;
        table_add(table, "%s", headers[i] + (headers[i][0] == '>'));
    }
}

void table_add(struct table *table, const char *format, ...)
{
    char *text;
    va_list list;
    va_start(list, format);
    if (vasprintf(&text, format, list) < 0)
        text = NULL;
    va_end(list);
    append(table, text);
}

void table_print(struct table *table)
{
    int width[TABLE_MAX_COLUMNS] = {0};
    for (size_t i = 0; i < table->cells; ++i) {
        int length = table->cell[i] ? (int)strlen(table->cell[i]) : 0;
        size_t column = i % table->columns;
        if (length > width[column])
            width[column] = length;
    }
    for (size_t i = 0; i < table->cells; ++i) {
        size_t column = i % table->columns;
        const char *text = table->cell[i] ? table->cell[i] : "";
        if (table->right >> column & 1)
            printf("%*s", width[column], text);
        else if (column + 1 < table->columns)
            printf("%-*s", width[column], text);
        else
            printf("%s", text);
        printf("%s", column + 1 < table->columns ? "  " : "\n");
        free(table->cell[i]);
    }
    free(table->cell);
    memset(table, 0, sizeof *table);
}
