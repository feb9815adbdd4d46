// The programs that a device may be asked to compile, for what tells how its compiler does.
#ifndef NORMA_STATIC_PROGRAMS_H
#define NORMA_STATIC_PROGRAMS_H

#include "context.h"
#include <stdio.h>
#include <stdlib.h>

#define DIE(...) (fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), exit(1))
#define NORMA(call) ((call) == NORMA_OK ? (void)0 : DIE("%s: %s", #call, norma_last_error()))

// Each once, described by the backend, for all operators, directions, types and layouts, rows by every variant that
// takes them. few: of rows those that are likely to take most. *list lasts as long as the process.
size_t static_programs(norma_device *device, bool few, const norma_dispatch **list);

#endif
