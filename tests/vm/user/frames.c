/* Calls in code that no call-frame information describes: made at run time, in the vdso, or compiled without any. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define KEEP(x) asm volatile("" : "+r"(x))

/* push %rbp; mov %rsp,%rbp; mov %rdi,%rax; mov $5,%edi; call *%rax; pop %rbp; ret */
static const unsigned char made[] = { 0x55, 0x48, 0x89, 0xe5, 0x48, 0x89, 0xf8, 0xbf, 5, 0, 0, 0, 0xff, 0xd0, 0x5d, 0xc3 };

__attribute__((noinline)) int leaf(int n)
{
	KEEP(n);
	return n + 1;
}

__attribute__((noinline)) int down(int n)
{
	int r = n ? down(n - 1) : leaf(0);

	KEEP(r);
	return r + 1;
}

__attribute__((noinline)) int through(int (*code)(int (*)(int)))
{
	int r = code(leaf);

	KEEP(r);
	return r;
}

__attribute__((noinline)) long clocks(int n)
{
	struct timespec t;
	long sum = 0;

	while (n--) {
		clock_gettime(CLOCK_MONOTONIC, &t);
		sum += t.tv_nsec;
	}
	KEEP(sum);
	return sum;
}

int main(int argc, char **argv)
{
	void *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memcpy(code, made, sizeof(made));
	printf("%d\n", through(code) + down(atoi(argv[1])));
	return clocks(atoi(argv[2])) < 0;
}
