#include "message.h"
#include <stdarg.h>
#include <stdio.h>

bool complain(const char *format, ...)
{
    char line[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(line, sizeof line, format, list);
    va_end(list);
    // A file's name may hold anything; a failure is one line all the same.
    for (char *c = line; *c; ++c) {
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = '?';
    }
    fprintf(stderr, "norma: %s\n", line);
    return false;
}

bool succeeded(norma_status status)
{
    return status == NORMA_OK || complain("%s", norma_last_error());
}
