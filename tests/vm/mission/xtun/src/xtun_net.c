#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
struct xtun_stats { unsigned long received; int success; };
struct xtun_state { struct xtun_stats *kstats; char name[8]; int success; };
static struct xtun_stats stats;
static struct xtun_state state = { .kstats = &stats, .name = "xtun0" };

noinline int XtunRx(struct xtun_state *ks, int bytes)
{
	int kept = bytes / 2;

	ks->kstats->received += bytes;
	if (kept > 10)
		ks->success++;
	ks->kstats->success = ks->success;
	return kept;
}

static int show(struct seq_file *m, void *v)
{
	seq_printf(m, "%d\n", XtunRx(&state, 42));
	return 0;
}

static int __init start(void)
{
	proc_create_single("xtun", 0444, NULL, show);
	return 0;
}

static void __exit stop(void)
{
	remove_proc_entry("xtun", NULL);
}
module_init(start);
module_exit(stop);
MODULE_LICENSE("GPL");
