/* pretty.h and histogram.h: the layouts of outputs that people read. */
#define STAP_BUCKETS 128
#define STAP_NEED_PRETTY 1
#include "test.h"
#include "pretty.h"
#include "histogram.h"

struct point { int x; short y; char c; char name[8]; unsigned flag : 3; struct { long a[7]; } in; union { int i; float f; } u;
	       struct point *next; const char *label; };

enum { INT, SHORT, CHAR, NAME, UNSIGNED, LONG, LONGS, IN, FLOAT, U, POINTER, LABEL, POINT, POINTS };

static const struct stap_member in_members[] = { { "a", LONGS, 0, 0, 0 } };
static const struct stap_member u_members[] = { { "i", INT, 0, 0, 0 }, { "f", FLOAT, 0, 0, 0 } };
static const struct stap_member point_members[] = {
	{ "x", INT, offsetof(struct point, x), 0, 0 }, { "y", SHORT, offsetof(struct point, y), 0, 0 },
	{ "c", CHAR, offsetof(struct point, c), 0, 0 }, { "name", NAME, offsetof(struct point, name), 0, 0 },
	{ "flag", UNSIGNED, 12, 24, 3 }, { "in", IN, offsetof(struct point, in), 0, 0 },
	{ "", U, offsetof(struct point, u), 0, 0 }, { "next", POINTER, offsetof(struct point, next), 0, 0 },
	{ "label", LABEL, offsetof(struct point, label), 0, 0 },
};
static const struct stap_type stap_types[] = {
	[INT] = { STAP_TYPE_INT, 4, 0, 0, NULL, 0 }, [SHORT] = { STAP_TYPE_INT, 2, 0, 0, NULL, 0 },
	[CHAR] = { STAP_TYPE_CHAR, 1, 0, 0, NULL, 0 }, [NAME] = { STAP_TYPE_ARRAY, 1, CHAR, 8, NULL, 0 },
	[UNSIGNED] = { STAP_TYPE_UINT, 4, 0, 0, NULL, 0 }, [LONG] = { STAP_TYPE_INT, 8, 0, 0, NULL, 0 },
	[LONGS] = { STAP_TYPE_ARRAY, 8, LONG, 7, NULL, 0 }, [IN] = { STAP_TYPE_STRUCT, 56, 0, 0, in_members, 1 },
	[FLOAT] = { STAP_TYPE_FLOAT, 4, 0, 0, NULL, 0 }, [U] = { STAP_TYPE_UNION, 4, 0, 0, u_members, 2 },
	[POINTER] = { STAP_TYPE_POINTER, 8, 0, 0, NULL, 0 }, [LABEL] = { STAP_TYPE_STRING, 8, 0, 0, NULL, 0 },
	[POINT] = { STAP_TYPE_STRUCT, sizeof(struct point), 0, 0, point_members, 9 },
	[POINTS] = { STAP_TYPE_ARRAY, sizeof(struct point), POINT, 40, NULL, 0 },
};

static struct stap_context c;
static struct point origin = { 1, -2, '\210', "or\"igin", 5, { { 1, 2, 3, 4, 5, 6, 7 } }, { 7 }, NULL, "te\nxt" };

static const char *printed(u32 type, const void *at, u32 depth)
{
	static struct text to;

	stap_pretty_start(&c, to.s, depth, false);
	stap_pretty_address(&c, "p=", type, (s64)(uintptr_t)at);
	stap_pretty_end(&c);
	return to.s;
}

static void values(void)
{
	struct text to;

	stap_pretty_start(&c, to.s, 0, false);
	stap_pretty_value(&c, "a=", INT, 0x340);
	stap_pretty_unknown(&c, "b=");
	stap_pretty_value(&c, "c=", INT, 0);
	c.last_error = "a fault on the way to it";
	stap_pretty_value(&c, "d=", INT, 0);
	stap_pretty_end(&c);
	CHECK_TEXT(to.s, "a=0x340 b=? c=0x0 d=ERROR");
	CHECK(!c.last_error);
}

static void histograms(void)
{
	struct text to;

	memset(c.total.buckets, 0, sizeof(c.total.buckets));
	c.total.buckets[64 + 3] = 1;
	stap_sprint_histogram(&c, to.s, STAP_HISTOGRAM_LOG, 0, 0, 0, 128);
	CHECK(!strncmp(to.s, "value |-------------------------------------------------- count\n"
		       "    1 |                                                   0\n", 120));
	CHECK(strstr(to.s, "\n    4 |@                                                  1\n"));
}

int main(void)
{
	static struct point many[40];

	CHECK(!stap_contexts_load());
	CHECK_TEXT(printed(POINT, &origin, 1),
		   "p={.x=1, .y=-2, .c='\\210', .name=[...], .flag=5, .in={...}, <union>={...}, .next=0x0, .label=\"te\\nxt\"}");
	CHECK_TEXT(printed(POINT, &origin, 2),
		   "p={.x=1, .y=-2, .c='\\210', .name=\"or\\\"igin\", .flag=5, .in={.a=[1, ...]}, "
		   "<union>={.i=7, .f=?}, .next=0x0, .label=\"te\\nxt\"}");
	CHECK_TEXT(printed(POINT, &origin, 0), "p={...}");
	CHECK_TEXT(printed(LONGS, origin.in.a, 1), "p=[1, ...]");
	CHECK_TEXT(printed(POINT, (void *)(uintptr_t)shim_bad, 1),
		   "p={.x=ERROR, .y=ERROR, .c=ERROR, .name=[...], .flag=ERROR, .in={...}, <union>={...}, .next=ERROR, "
		   ".label=ERROR}");
	CHECK(strstr(printed(POINTS, many, 2), "...") && !c.last_error);
	values();
	histograms();
	stap_contexts_unload();
	return 0;
}
