// The runs of one case on one device after another, judged and counted alike for both families.
#ifndef NORMA_CHECK_TRIAL_H
#define NORMA_CHECK_TRIAL_H

#include "driver.h"
#include "subject.h"

struct check_trial;
struct strided_table;

// How cases are run, and where what they find goes.
struct check_settings {
    uint64_t seed;
    uint32_t ops;                // bit op: the operators that the cases are of; 0: all
    const char *filter;          // part of a case's description; NULL: all cases
    const char *variant;         // rows: this one, beside the planner's choice; NULL: every one
    bool time;                   // prints the time of each run
    bool twice;                  // rows: norma_run a second time
    bool few_programs;           // rows: what a user has the patience for on a CPU driver, see row_check.c
    struct strided_table *table; // strided: where cases are counted, by index of the driver; NULL: nowhere
    void (*report)(void *user, const struct check_trial *trial, const char *way, const char *message); // a failure
    void *user;
};

struct check_trial {
    const struct check_settings *settings;
    struct check_subject subject;
    const void *expected;
    struct check_driver *driver;
    bool ran;                               // the driver has a first run
    unsigned char *arena, *first, *outputs; // of a run; outputs of the first run and of this one
};

// Room for the runs of a subject. False: out of memory. Close in any case.
bool check_trial_open(struct check_trial *t, const struct check_settings *o, const struct check_subject *s);
void check_trial_close(struct check_trial *t);
// From here on the runs are this driver's.
void check_trial_begin(struct check_trial *t, const void *expected, struct check_driver *driver);
// After a run in t->arena: its status, its result against what is expected, and its bits against those of the first.
bool check_trial_run(struct check_trial *t, const char *way, norma_status status);
// Counts a failure.
void check_trial_fail(struct check_trial *t, const char *way, const char *message);

#endif
