// What the suite prints of a failure.
#ifndef NORMA_CHECK_REPORT_H
#define NORMA_CHECK_REPORT_H

#include "subject.h"

// The case, what is wrong, and the command that repeats it: option is "" or what the command line needs beside the
// family's. Silent from the 21st failure of a device on (number: from 1).
void check_report(const struct check_subject *s, const char *device, const char *option, const char *way,
                  const char *message, uint64_t number);

#endif
