/* Allocates and frees, and keeps twenty blocks of 512 bytes. */
#include <stdlib.h>

static void *kept[20];

__attribute__((noinline)) static void keep(int i)
{
	kept[i] = malloc(512);
	__asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) static void borrow(int size)
{
	volatile char *block = malloc(size);
	block[0] = 1;
	free((void *)block);
}

int main(void)
{
	for (int i = 0; i < 20; i++) {
		keep(i);
		borrow(100);
	}
	return kept[3] == NULL;
}
