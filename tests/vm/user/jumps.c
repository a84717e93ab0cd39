/* Its exit status is its argument count, plus ten for each return of setjmp: wrong when somebody meddled with the stack. */
#include <setjmp.h>

static jmp_buf place;

__attribute__((noinline)) static void back(void)
{
	longjmp(place, 1);
}

int main(int argc, char **argv)
{
	volatile int returns = 0;

	if (setjmp(place) == 0) {
		returns++;
		back();
	}
	return argc + 10 * (returns + 1);
}
