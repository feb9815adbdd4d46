#include "report.h"
#include <stdio.h>

enum { SHOWN_FAILURES = 20, TEXT = 2000 };

void check_report(const struct check_subject *s, const char *device, const char *option, const char *way,
                  const char *message, uint64_t number)
{
    char text[TEXT];
    if (number > SHOWN_FAILURES)
        return;
    s->family->describe(s->c, text, sizeof text);
    printf("FAIL %s, %s: %s\n     %s\n     repeat: norma-check-suite%s%s --device %s --seed %llu --only %llu\n", device,
           way, message, text, s->family->option, option, device, (unsigned long long)s->seed,
           (unsigned long long)s->index);
    fflush(stdout);
}
