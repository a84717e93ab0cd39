/* Spends its time in hot(). */
static volatile unsigned long sum;

__attribute__((noinline)) static void hot(unsigned long n)
{
	while (n--)
		sum += n;
}

int main(void)
{
	for (int i = 0; i < 40; i++)
		hot(2000000);
	return 0;
}
