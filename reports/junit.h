/*
 * junit.h: JUnit XML, as GitLab, Jenkins and their kin read it: suites of cases, each passed,
 * failed, broken or skipped. Any bytes may come in: what XML can't hold (control characters, broken
 * UTF-8) becomes U+FFFD, all else is escaped and reads back as it was.
 *
 *     ortho_junit *j = NULL;
 *     ortho_status status = ortho_junit_begin("ortho-bench", &j);
 *     ...
 *     ortho_junit_suite_begin(j, &suite);
 *     ortho_junit_property(j, "gpu", gpu);
 *     ortho_junit_add(j, &first_case);
 *     ortho_junit_suite_end(j);
 *     status = ortho_junit_end(j, out);
 */
#ifndef ORTHO_REPORTS_JUNIT_H
#define ORTHO_REPORTS_JUNIT_H

#include <ortho/ortho.h>
#include <stdio.h>

typedef enum ortho_junit_outcome {
    ORTHO_JUNIT_PASS = 0,
    ORTHO_JUNIT_FAILURE, /* judged, and wrong */
    ORTHO_JUNIT_ERROR,   /* couldn't be judged */
    ORTHO_JUNIT_SKIPPED,
    ORTHO_JUNIT_OUTCOMES
} ortho_junit_outcome;

/* Strings are read during the call alone; NULL leaves their attribute or element out, except that a
 * name that is NULL reads "?". */
typedef struct ortho_junit_suite {
    const char *name;
    const char *timestamp; /* "2026-11-24T21:40:00Z"; left out when it has another form */
    const char *hostname;
} ortho_junit_suite;

typedef struct ortho_junit_case {
    const char *classname, *name; /* consumers want the pair to be unique in a file */
    double seconds;               /* NAN: not told */
    ortho_junit_outcome outcome;
    const char *type;    /* what kind of failure or error: "failed" */
    const char *message; /* one line: why it is no pass */
    const char *text;    /* the same at length, in any number of lines; NULL: the message */
    const char *note;    /* said of any outcome, as <system-out> */
} ortho_junit_case;

typedef struct ortho_junit ortho_junit;

/* The caller ends it with ortho_junit_end, or gives it up with ortho_junit_free. */
ortho_status ortho_junit_begin(const char *name, ortho_junit **out);

/* Suites don't nest. A want of memory in any of these is told by ortho_junit_end. */
void ortho_junit_suite_begin(ortho_junit *, const ortho_junit_suite *);
void ortho_junit_property(ortho_junit *, const char *name, const char *value); /* NULL: left out */
void ortho_junit_add(ortho_junit *, const ortho_junit_case *);
void ortho_junit_suite_end(ortho_junit *);

/* Writes the document, with the counts and times of all suites, and frees it, failed or not. */
ortho_status ortho_junit_end(ortho_junit *, FILE *out);
void ortho_junit_free(ortho_junit *); /* NULL is allowed */

#endif
