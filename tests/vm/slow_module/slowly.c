// SPDX-License-Identifier: GPL-2.0
/*
 * slowly.c: for `hold` ms of its insertion it has been announced but has no folder in /sys/module yet, since that is when
 * parameters are set; for `leave` ms of its removal it goes, and its folder is still there. Calls slowly_work(1) when
 * it begins, and slowly_work(2) when /proc/slowly is read.
 */
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

int slowly_calls;
static int leave;
module_param(leave, int, 0644);

noinline int slowly_work(int number)
{
	slowly_calls += number;
	barrier();
	return number;
}

static int slowly_hold(const char *text, const struct kernel_param *parameter)
{
	unsigned int time;
	int error = kstrtouint(text, 0, &time);

	if (!error)
		msleep(time);
	return error;
}

static const struct kernel_param_ops slowly_hold_ops = { .set = slowly_hold };
module_param_cb(hold, &slowly_hold_ops, NULL, 0200);

static int slowly_show(struct seq_file *file, void *unused)
{
	seq_printf(file, "%d\n", slowly_work(2));
	return 0;
}

static int __init slowly_init(void)
{
	slowly_work(1);
	return proc_create_single("slowly", 0444, NULL, slowly_show) ? 0 : -ENOMEM;
}

static void __exit slowly_exit(void)
{
	remove_proc_entry("slowly", NULL);
	msleep(leave);
}

module_init(slowly_init);
module_exit(slowly_exit);
MODULE_DESCRIPTION("comes and goes slowly");
MODULE_LICENSE("GPL");
