// Temporary files that go away however the program ends.
#ifndef NORMA_TOOLS_TEMPORARY_H
#define NORMA_TOOLS_TEMPORARY_H

// Catches the signals that end the program, SIGBUS too: a mapped file that somebody cuts short raises it.
void temporary_watch_signals(void);

// As mkostemp; name stays the caller's and must live until it is forgotten or removed. At most 8 at a time.
int temporary_open(char *name);
void temporary_forget(const char *name);
void temporary_remove(const char *name);

#endif
