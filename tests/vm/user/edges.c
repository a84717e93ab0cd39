/* Texts that end where memory does, are not valid UTF-8, or can not be read; values that a script may write. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

struct bag {
	char text[16];
	long n;
	short s;
	int i;
	unsigned char c;
};

__attribute__((noinline)) void show(char *edge, char *open, const char *utf, const char *bad, struct bag *b)
{
	asm volatile("" : : "r"(edge), "r"(open), "r"(utf), "r"(bad), "r"(b) : "memory");
}

static char *end_of_page(void)
{
	char *pages = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(pages + 4096, 4096);
	return pages + 4096;
}

int main(void)
{
	char *edge = memcpy(end_of_page() - 6, "hello", 6), *open = memcpy(end_of_page() - 4, "abcd", 4);
	struct bag b = { "tab\there\n\"q\"\\", -7, -3, 70000, 200 };

	show(edge, open, "gr\xc3\xbc\xc3\x9f \xe2\x82\xac", "ok\xff\xc3(\x80z", &b);
	printf("%s %ld %d %d %d %s\n", b.text, b.n, b.s, b.i, b.c, edge);
	return 0;
}
