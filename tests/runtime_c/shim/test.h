/* The runtime on the shim, and what tests of it share. */
#ifndef SHIM_TEST_H
#define SHIM_TEST_H

#include "kernel.h"
#include "limits.h"
#include "protocol.h"
#include "format.h"
#include "strings.h"
#include "stat.h"
#include "session.h"
#include "owner.h"
#include "context.h"
#include "entry.h"
#include "storage.h"
#include "access.h"
#include "lock.h"
#include "map.h"
#include "print.h"
#include "collect.h"

static const char *const stap_marks[] = { "", "operator '/' at f.stp:1:27", "identifier 'f' at f.stp:1:55" };

#define CHECK(condition)								\
	do {										\
		if (!(condition)) {							\
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);	\
			exit(1);							\
		}									\
	} while (0)
#define CHECK_TEXT(got, wanted)								\
	do {										\
		if (strncmp(got, wanted, MAXSTRINGLEN - 1)) {				\
			fprintf(stderr, "%s:%d: '%s', not '%s'\n", __FILE__, __LINE__, got, wanted); \
			exit(1);							\
		}									\
	} while (0)

struct text { char s[STAP_STRING_BYTES] __aligned(8); };

/* A script string with rubbish behind its end, as its storage has after use. */
static inline struct text text_of(const char *from)
{
	struct text made;

	memset(made.s, 0xa5, sizeof(made.s));
	strscpy(made.s, from, MAXSTRINGLEN);
	return made;
}

#endif
