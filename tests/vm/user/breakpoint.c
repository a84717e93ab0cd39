/* Says whether its function has a breakpoint, then calls it. */
#include <stdio.h>

__attribute__((noinline, noclone)) int work(int n)
{
	__asm__ volatile("");
	return n + 1;
}

int main(void)
{
	const volatile unsigned char *code = (const volatile unsigned char *)work;

	puts(*code == 0xcc ? "work breakpoint" : "work plain");
	return work(1) != 2;
}
