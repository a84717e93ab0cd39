/* What the files of tests/fuzz/files.py are made of: a bit of everything that debug-info describes. */

#ifndef BARE
#include <sys/sdt.h>
#else
#define DTRACE_PROBE2(provider, name, first, second)
#endif

enum colour { RED, GREEN = 5, BLUE = -1 };

struct inner {
	short low;
	unsigned int bits : 3, more : 7;
};

typedef struct thing {
	struct thing *next;
	char name[16];
	struct inner inner;
	union {
		long number;
		double real;
	};
	enum colour colour;
	int (*call)(int, char);
} thing_t;

thing_t things[4];
#ifdef BARE
struct trace_event_class {
	const char *system;
};
struct trace_event_call {
	struct trace_event_class *class;
};
struct trace_event_class event_class_fuzzed = { "fuzzy" };
struct trace_event_call event_fuzzed = { &event_class_fuzzed };
typedef void (*btf_trace_fuzzed)(void *, int, thing_t *);
btf_trace_fuzzed of_trace;

int __traceiter_fuzzed(void *data, int number, thing_t *it)
{
	of_trace(data, number, it);
	return 0;
}
#endif
static const volatile long counter = 7;
#ifndef BARE
__thread int of_thread;
#endif

static inline __attribute__((always_inline)) int twice(int value)
{
	int result = value * 2;

	return result + (int)counter;
}

__attribute__((noinline)) int work(thing_t *it, int x, const char *text)
{
	int sum = 0;

	for (int i = 0; i < x; i++) {
		int squared = i * i;

		if (squared > 100)
			goto out;
		sum += twice(squared) + text[i % 3];
		it->number = sum;
	}
	DTRACE_PROBE2(fuzz, worked, sum, it->name);
out:
	it->colour = sum > 3 ? GREEN : BLUE;
#ifndef BARE
	of_thread += sum;
#endif
	return sum;
}

__attribute__((noinline)) double real(double by, struct inner passed)
{
	return by * passed.low + passed.bits;
}

int main(int argc, char **argv)
{
	struct inner local = { 1, 2, 3 };

	things[0].call = 0;
	return work(&things[argc & 3], argc, argv[0]) + (int)real(argc, local);
}
