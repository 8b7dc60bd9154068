/* Why a function of the C interface failed: the texts of its codes, and what each thread's last failure had to say. For
 * capi.pyx alone. */
#ifndef FASTMLP_FAILURE_H
#define FASTMLP_FAILURE_H

#include <string.h>

#include "fastmlp.h"

#if defined(_MSC_VER)
#define FM_OF_THREAD __declspec(thread)
#else
#define FM_OF_THREAD _Thread_local
#endif

enum { FM_MESSAGE = 512 };
static FM_OF_THREAD char fm_message[FM_MESSAGE];

/* clang-format off */
#define FM_FAILURES(X)                                                                                  \
  X(FASTMLP_OK, "no error")                                                                             \
  X(FASTMLP_NULL, "a pointer that must not be NULL is")                                                 \
  X(FASTMLP_SIZE, "an array has another size than the network and the rows ask for, or is not aligned") \
  X(FASTMLP_ARGUMENT, "an argument is not what it may be")                                              \
  X(FASTMLP_VERSION, "a struct is of a version that is not known here")                                 \
  X(FASTMLP_NOT_FINITE, "numbers that are NaN or infinite were given")                                  \
  X(FASTMLP_BUSY, "another thread is changing the network: try again")                                  \
  X(FASTMLP_STALE, "the parameters have changed since the forward pass")                                \
  X(FASTMLP_DIVERGED, "the update overflowed: the network is back at its last good parameters")         \
  X(FASTMLP_MEMORY, "there is not enough memory")                                                       \
  X(FASTMLP_INTERRUPTED, "interrupted by a signal")                                                     \
  X(FASTMLP_ERROR, "an error of another kind")
/* clang-format on */

static const char *fm_text(int code) {
  switch (code) {
#define FM_CASE(name, text) \
  case name: return text;
    FM_FAILURES(FM_CASE)
#undef FM_CASE
    default: return "not a code of fastmlp";
  }
}

static const char *fm_last_message(void) { return fm_message; }

/* Keep the message, or where there is none the code's text; return the code. */
static int fm_fail(int code, const char *message) {
  strncpy(fm_message, message ? message : fm_text(code), FM_MESSAGE - 1);
  return code;
}

#endif
