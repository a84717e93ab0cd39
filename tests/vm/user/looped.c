/* An optimized program with loops, structs and inlined calls: what its variables are is asked at many lines. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct point { int x, y; };
struct body {
	struct point at;
	long mass;
	char name[8];
	struct body *next;
	unsigned char kind : 3, flags : 5;
	short spin[4];
};

static long weight(const struct body *b, int scale)
{
	long w = b->mass * scale;

	for (int i = 0; i < 4; i++)
		w += b->spin[i] * (i + 1);
	return w;
}

__attribute__((noinline)) static struct body *add(struct body *list, int x, long mass, const char *name)
{
	struct body *made = calloc(1, sizeof(*made));

	made->at.x = x;
	made->at.y = -x;
	made->mass = mass;
	made->kind = x & 7;
	made->flags = mass & 31;
	strncpy(made->name, name, sizeof(made->name) - 1);
	for (int i = 0; i < 4; i++)
		made->spin[i] = x * i;
	made->next = list;
	return made;
}

__attribute__((noinline)) static long survey(struct body *list, int scale)
{
	struct body *heaviest = NULL;
	struct point sum = { 0, 0 };
	long total = 0, most = -1;
	int count = 0;

	for (struct body *b = list; b; b = b->next) {
		long w = weight(b, scale);

		sum.x += b->at.x;
		sum.y += b->at.y;
		total += w;
		if (w > most) {
			most = w;
			heaviest = b;
		}
		count++;
	}
	printf("%d %d %s %d\n", sum.x, sum.y, heaviest ? heaviest->name : "-", count);
	return total / (count ? count : 1);
}

__attribute__((noinline)) static unsigned int sift(const unsigned char *text, size_t length)
{
	unsigned int hash = 2166136261u, row[8] = { 0 };

	for (size_t i = 0; i < length; i++) {
		unsigned char c = text[i];

		hash = (hash ^ c) * 16777619u;
		row[c & 7] += hash >> 24;
	}
	for (int k = 1; k < 8; k++)
		row[k] += row[k - 1];
	printf("%u\n", row[7]);
	return hash ^ row[3];
}

int main(void)
{
	static const char *const names[] = { "one", "two", "three" };
	struct body *list = NULL;

	for (int i = 0; i < 3; i++)
		list = add(list, i * 7 + 1, 1000L * (i + 1) % 1700, names[i]);
	printf("%ld\n", survey(list, 3));
	printf("%u\n", sift((const unsigned char *)"loops and structs", 17));
	return 0;
}
