/* Every kind of member behind one pointer, and what the module's variables are. */
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include "shapes.h"

static struct inner inners[4] = {
	{ 41, "forty-one" }, { 42, "a\"b\\c\n\001" }, { 43, "" }, { 44, "twelve chars" },
};
struct inner *second = &inners[1];
static int same_name = 1001;
const u16 primes[] = { 2, 3, 5, 7, 11, 13 };
static DEFINE_PER_CPU(int, per_cpu_number) = 77;
int shapes_global = -5;
char shapes_label[] = "label of shapes";
struct shape *last_shape;

static int shape_callback(int k, char *text)
{
	return k + text[0];
}

static void shape_nothing(void)
{
}

noinline int look(struct shape *s, enum colour colour)
{
	static int times = 30;
	int sum = s->tiny + colour;

	times++, same_name++;
	last_shape = s;
	sum += times + same_name + primes[sum & 3] + this_cpu_read(per_cpu_number) + shapes_global + shapes_label[0];
	return sum;
}

noinline int opaque(void *anything, struct inner **list, const char *text, char (*rows)[8])
{
	asm volatile("" :: "r"(anything), "r"(list), "r"(text), "r"(rows) : "memory");
	return list[1]->number + text[1] + rows[1][0];
}

/* What a script wrote, as the compiled code reads it. */
noinline int written(struct shape *s, int number, long wide)
{
	asm volatile("" : "+r"(s) :: "memory");
	pr_info("shapes: %d %ld bits %u %u %d %u %llx %llx %d %d packed %u %u %u %lld\n", number, wide,
		s->bits.low, s->bits.middle, s->bits.minus, s->bits.last, (u64)s->bits.wide, (u64)s->bits.rest,
		s->bits.flag, s->bits.hue, s->packed.odd, s->packed.a, s->packed.b, s->packed.far);
	pr_info("shapes: %d %u %x %d %.12s %d %d %d %d %d %c\n", s->tiny, s->byte, s->whole, s->corners[1].y,
		s->many[2].text, s->many[2].number, s->pointed->number, s->matrix[1][2], s->yes, s->colour, s->letter);
	return number;
}

int types_run(void)
{
	static struct inner *table[] = { &inners[2], &inners[3] };
	static char rows[2][8] = { "row-0", "row-1" };
	struct shape *s = kzalloc(sizeof(*s) + 3 * sizeof(struct inner), GFP_KERNEL);
	int result;

	if (!s)
		return 0;
	s->tiny = -7, s->byte = 200, s->small = -30000, s->word = 60000, s->medium = -2000000000;
	s->dword = 4000000000u, s->large = -5000000000000000000LL, s->qword = 0xfedcba9876543210ULL;
	s->yes = true, s->letter = 'q', s->colour = BLUE, s->other = DARK;
	s->bits = (struct bits){ 5, 1500, -9, 8000, 0xabcdef0123ULL, 0x765432, true, GREEN };
	s->packed = (struct packed){ 9, 0xdeadbeef, 10, 300, 5, -123456789012345LL };
	s->whole = 0x04030201;
	s->named.as_long = 0x0000006f6c6c6568; /* hello */
	s->point.x = 11, s->point.y = -12, s->corners[0].x = 21, s->corners[1].y = -22;
	s->inner = inners[0], s->pointed = second, s->many[2] = inners[3];
	s->table[0] = &inners[1], s->table[1] = &inners[3], s->twice = &s->table[1];
	s->matrix[1][2] = 66, s->matrix[0][1] = -65, s->matrix[0][0] = 64;
	strcpy(s->names[0], "zero"), strcpy(s->names[1], "one"), strcpy(s->names[2], "seven77");
	s->call = shape_callback, s->calls[1] = shape_nothing;
	s->opaque = &inners[0], s->string = "a string\twith \"quotes\" and \x7f";
	s->count = 3, s->flexible[0] = inners[3], s->flexible[2] = inners[0];
	result = look(s, GREEN) + opaque(&inners[3], table, "text", rows);
	result += written(s, 1, 2);
	kfree(s);
	return result;
}

static int show(struct seq_file *m, void *v)
{
	seq_printf(m, "%d %ld\n", types_run(), places_run());
	return 0;
}

static int __init start(void)
{
	proc_create_single("shapes", 0444, NULL, show);
	return 0;
}

static void __exit stop(void)
{
	remove_proc_entry("shapes", NULL);
}
module_init(start);
module_exit(stop);
MODULE_LICENSE("GPL");
