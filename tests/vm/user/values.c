/* Memory and arguments with known values, for the functions that read them. */
#include <stdlib.h>
#include <unistd.h>

struct known {
	signed char c;
	unsigned char uc;
	short s;
	unsigned short us;
	int i;
	unsigned int u;
	long l;
	unsigned long ul;
	char text[16];
	unsigned short wide[8];
	unsigned int quad[8];
	char *next;
};

struct known known = {
	-5, 250, -300, 65000, -70000, 4000000000u, -5000000000L, 0xfedcba9876543210UL, "a \"text\"\n",
	{ 'h', 0xe9, 0x20ac, 0xd83d, 0xde00, 0 }, { 'h', 0xe9, 0x20ac, 0x1f600, 0 }, known.text,
};

__attribute__((noinline)) long look(int a, unsigned int b, long c, unsigned long d, struct known *k, void *bad)
{
	__asm__ volatile("" : : "r"(k), "r"(bad) : "memory");
	return a + c;
}

__attribute__((noinline)) long outer(void)
{
	return look(-1, 4000000000u, -2, 0x8000000000000001UL, &known, (void *)8) + 1;
}

int main(void)
{
	setenv("PYSTAP_KNOWN", "yes", 1);
	return outer() == -2 && known.i == -70000 ? 0 : 1;
}
