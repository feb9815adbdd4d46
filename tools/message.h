// What the program says on stderr: one line a failure.
#ifndef NORMA_TOOLS_MESSAGE_H
#define NORMA_TOOLS_MESSAGE_H

#include <norma/status.h>
#include <stdbool.h>

// Prints "norma: ..." as one line (control characters become '?') and returns false: `return complain("x: ...");`
bool complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

// True for NORMA_OK; otherwise prints the library's sentence.
bool succeeded(norma_status status);

#endif
