/* A library without frame pointers: five functions, each with a frame of its own. */
#define FRAME(name, next) \
	__attribute__((noinline)) int name(int n) \
	{ \
		volatile int room[16]; \
		for (int i = 0; i < 16; i++) \
			room[i] = n + i; \
		return next(room[n & 15] + 1) + room[3]; \
	}
__attribute__((noinline)) int five(int n)
{
	volatile int x = n;
	return x * 2;
}
FRAME(four, five)
FRAME(three, four)
FRAME(two, three)
FRAME(one, two)
