#include "strided_table.h"
#include <stdio.h>
#include <string.h>

static const char *const layouts[STRIDED_LAYOUT_COUNT] = {"contiguous", "channels-last", "permuted", "padded"};
static const char *const types[] = {"", "float32", "float16", "bfloat16", "float64"};

void strided_table_count(struct strided_table *table, int driver, const struct strided_case *c)
{
    const struct strided_tensor *x = &c->tensor[NORMA_ARG_X];
    table->cases[driver][c->problem.op][c->problem.direction][x->dtype][c->x_layout]++;
}

static bool exists(norma_op op, int direction, norma_dtype type, const char *driver)
{
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
                    empty += (!ops || ops >> op & 1) && exists((norma_op)op, direction, (norma_dtype)type, name) &&
                             !table->cases[driver][op][direction][type][layout];
    return empty;
}

static void write_row(FILE *file, const struct strided_table *table, const char *const *names, int drivers, int op,
                      int direction)
{
    for (int type = NORMA_FLOAT32; type <= NORMA_FLOAT64; type++) {
        fprintf(file, "| `%s` | %s | %s |", norma_op_name((norma_op)op), direction ? "backward" : "forward",
                types[type]);
        for (int layout = 0; layout < STRIDED_LAYOUT_COUNT; layout++)
            for (int i = 0; i < drivers; i++) {
                if (exists((norma_op)op, direction, (norma_dtype)type, names[i]))
                    fprintf(file, " %u |", table->cases[i][op][direction][type][layout]);
                else
                    fprintf(file, " |");
            }
        fprintf(file, "\n");
    }
}

bool strided_table_write(const struct strided_table *table, const char *const *names, int drivers, const char *command,
                         const char *path)
{
    FILE *file = fopen(path, "w");
    if (!file)
        return false;
    fprintf(file,
            "# What is tested\n\nMade by `%s`: random cases that each backend got right, within the bounds of the "
            "numeric contract against\nlong double arithmetic, by operator, direction, type of x and layout of "
            "x; the other tensors' types and layouts differ\nfrom case to case. Permuted: the dimensions in any "
            "order in memory; padded: with gaps. float64 is for the scalar path;\nlocal response norm has no "
            "backward; of batch_norm_merge the parts stand for x. Contiguous layer norm and RMS norm are tested by the "
            "row cases as well.\n\n",
            command);
    fprintf(file, "| operator | direction | x |");
    for (int layout = 0; layout < STRIDED_LAYOUT_COUNT; layout++)
        for (int i = 0; i < drivers; i++)
            fprintf(file, " %s, %s |", layouts[layout], names[i]);
    fprintf(file, "\n|---|---|---|");
    for (int i = 0; i < drivers * STRIDED_LAYOUT_COUNT; i++)
        fprintf(file, "---:|");
    fprintf(file, "\n");
    for (int op = NORMA_LAYER_NORM; op < NORMA_OP_COUNT; op++)
        for (int direction = 0; direction < (op == NORMA_LOCAL_RESPONSE_NORM ? 1 : 2); direction++)
            write_row(file, table, names, drivers, op, direction);
    return fclose(file) == 0;
}
