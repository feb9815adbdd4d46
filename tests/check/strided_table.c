#include "strided_table.h"
#include <stdio.h>
#include <string.h>

static const char *const layouts[STRIDED_LAYOUT_COUNT] = {"contiguous", "channels-last", "permuted", "padded",
                                                          "packed"};
static const char *const types[STRIDED_TABLE_TYPES] = {"",        "float32", "float16",      "bfloat16",
                                                       "float64", "int8",    "float8_e4m3fn"};

void strided_table_count(struct strided_table *table, int driver, const struct strided_case *c)
{
    const struct strided_tensor *x = &c->tensor[NORMA_ARG_X];
    table->cases[driver][c->problem.op][c->problem.direction][x->dtype][c->x_layout]++;
    if (c->problem.direction == NORMA_FORWARD && c->tensor[NORMA_ARG_Y].present)
        table->y[driver][c->problem.op][c->tensor[NORMA_ARG_Y].dtype]++;
}

static bool exists(norma_op op, int direction, norma_dtype type, int layout, const char *driver)
{
    if (op == NORMA_BATCH_NORM_MERGE && layout == STRIDED_PACKED)
        return false;
    if (type == NORMA_FLOAT64 && strcmp(driver, "scalar") != 0)
        return false;
    if (op == NORMA_BATCH_NORM_MERGE && type != NORMA_FLOAT32 && type != NORMA_FLOAT64)
        return false;
    return op != NORMA_LOCAL_RESPONSE_NORM || direction == NORMA_FORWARD;
}

int strided_table_empty(const struct strided_table *table, int driver, const char *name, uint32_t ops)
{
    int empty = 0;
    for (int op = NORMA_LAYER_NORM; op < NORMA_OP_COUNT; op++)
        for (int direction = 0; direction < 2; direction++)
            for (int type = NORMA_FLOAT32; type <= NORMA_FLOAT64; type++)
                for (int layout = 0; layout < STRIDED_LAYOUT_COUNT; layout++)
                    empty += (!ops || ops >> op & 1) &&
                             exists((norma_op)op, direction, (norma_dtype)type, layout, name) &&
                             !table->cases[driver][op][direction][type][layout];
    return empty;
}

// "2 / 2 / 2": a cell's counts by driver; a dash where there is nothing to test.
static void write_counts(FILE *file, int drivers, const uint32_t *count, const bool *is_there)
{
    for (int i = 0; i < drivers; i++) {
        fprintf(file, i ? " / " : " ");
        if (is_there[i])
            fprintf(file, "%u", count[i]);
        else
            fprintf(file, "–");
    }
    fprintf(file, " |");
}

static void write_row(FILE *file, const struct strided_table *table, const char *const *names, int drivers, norma_op op,
                      int direction, norma_dtype type)
{
    uint32_t count[STRIDED_TABLE_DRIVERS];
    bool is_there[STRIDED_TABLE_DRIVERS];
    fprintf(file, "| `%s` | %s | %s |", norma_op_name(op), direction ? "backward" : "forward", types[type]);
    for (int layout = 0; layout < STRIDED_LAYOUT_COUNT; layout++) {
        for (int i = 0; i < drivers; i++) {
            count[i] = table->cases[i][op][direction][type][layout];
            is_there[i] = exists(op, direction, type, layout, names[i]);
        }
        write_counts(file, drivers, count, is_there);
    }
    fprintf(file, "\n");
}

// Nothing of an operator without a y.
static void write_y(FILE *file, const struct strided_table *table, int drivers, norma_op op)
{
    uint32_t count[STRIDED_TABLE_TYPES][STRIDED_TABLE_DRIVERS] = {{0}};
    bool is_there[STRIDED_TABLE_TYPES][STRIDED_TABLE_DRIVERS] = {{0}}, any = false;
    for (int type = NORMA_FLOAT32; type < STRIDED_TABLE_TYPES; type++)
        for (int i = 0; i < drivers; i++) {
            count[type][i] = table->y[i][op][type];
            is_there[type][i] = count[type][i] > 0;
            any = any || is_there[type][i];
        }
    if (!any)
        return;
    fprintf(file, "| `%s` |", norma_op_name(op));
    for (int type = NORMA_FLOAT32; type < STRIDED_TABLE_TYPES; type++)
        if (type != NORMA_FLOAT64) // as x, which the first table has
            write_counts(file, drivers, count[type], is_there[type]);
    fprintf(file, "\n");
}

static void write_introduction(FILE *file, const char *const *names, int drivers, const char *how)
{
    fprintf(file,
            "# What is tested\n\nMade by `tools/coverage` (%s): random cases that each backend got right, within the "
            "bounds of the numeric contract\nagainst long double arithmetic, each by one call and by a plan, with the "
            "same bits. Permuted: the dimensions in any order in\nmemory; padded: with gaps; packed: channels in "
            "blocks, the "
            "last of which is often not full. The other tensors' types and layouts,\npresence, sizes and values differ "
            "from case to case. float64 is for the scalar path; local response norm has no backward; of "
            "batch_norm_merge the parts stand for x. Contiguous layer norm and RMS "
            "norm are tested by the row cases as well.\n\n"
            "Each cell: ",
            how);
    for (int i = 0; i < drivers; i++)
        fprintf(file, "%s%s", i ? " / " : "", names[i]);
    fprintf(file, ".\n\n| operator | direction | x |");
    for (int layout = 0; layout < STRIDED_LAYOUT_COUNT; layout++)
        fprintf(file, " %s |", layouts[layout]);
    fprintf(file, "\n|---|---|---|---:|---:|---:|---:|---:|\n");
}

bool strided_table_write(const struct strided_table *table, const char *const *names, int drivers, const char *how,
                         const char *path)
{
    FILE *file = fopen(path, "w");
    if (!file)
        return false;
    write_introduction(file, names, drivers, how);
    for (int op = NORMA_LAYER_NORM; op < NORMA_OP_COUNT; op++)
        for (int direction = 0; direction < 2; direction++)
            for (int type = NORMA_FLOAT32; type <= NORMA_FLOAT64; type++)
                if (exists((norma_op)op, direction, (norma_dtype)type, STRIDED_CONTIGUOUS, "scalar"))
                    write_row(file, table, names, drivers, (norma_op)op, direction, (norma_dtype)type);
    fprintf(file,
            "\nThe forward cases by the type of y, quantised ones with a scale that is given or made:\n\n"
            "| operator | float32 | float16 | bfloat16 | int8 | float8_e4m3fn |\n|---|---:|---:|---:|---:|---:|\n");
    for (int op = NORMA_LAYER_NORM; op < NORMA_OP_COUNT; op++)
        write_y(file, table, drivers, (norma_op)op);
    return fclose(file) == 0;
}
