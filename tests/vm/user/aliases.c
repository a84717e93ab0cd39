/* Functions with several names, and one that is not for other files. */
long number(void);

__attribute__((visibility("hidden"), noinline)) int hidden(int n) { return n + 1; }
__attribute__((noinline)) int shown(int n)
{
	return n + 2;
}
extern __typeof(shown) other_name __attribute__((alias("shown")));

int shared(int n)
{
	return (number() > 0) + hidden(n) + shown(n) + other_name(n);
}

int main(void)
{
	return shared(1) != 9;
}
