/* A few calls with arguments. */
static volatile int total;

__attribute__((noinline)) int price(int item)
{
	return item * 10;
}

__attribute__((noinline)) int sell(int item, int count)
{
	total += price(item) * count;
	return total;
}

int main(void)
{
	sell(1, 3);
	return sell(2, 1) != 50;
}
