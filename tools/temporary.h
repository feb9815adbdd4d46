// Temporary files that go away however the program ends.
#ifndef NORMA_TOOLS_TEMPORARY_H
#define NORMA_TOOLS_TEMPORARY_H

#include <sys/types.h>

// Catches the signals that end the program, SIGBUS too: a mapped file that somebody cuts short raises it.
void temporary_watch_signals(void);

// As mkostemp; name stays the caller's and must live until it is forgotten or removed. At most 8 at a time.
int temporary_open(char *name);
// The mode that the finished file has: that of the old one at path, else what the umask leaves.
mode_t temporary_mode(const char *path);
void temporary_forget(const char *name);
void temporary_remove(const char *name);

#endif
