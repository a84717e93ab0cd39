/* SPDX-License-Identifier: GPL-2.0 */
/*
 * session.h: the life of the module, from load to unload.
 * Loading allocates and creates /proc/systemtap/MODULE/, and arms nothing. The
 * runner's START on `cmd` arms the engines in order; STOP, or the release of
 * `cmd` however the runner ended, disarms them in reverse. Everything here
 * runs in process context under one mutex and may sleep.
 */
#ifndef STAP_SESSION_H
#define STAP_SESSION_H

/* A mechanism that calls handlers. A start() that fails has cleaned up after itself and is not stopped. */
struct stap_engine {
	const char *name;
	int (*start)(void);
	void (*stop)(void);	/* returns only when none of its handlers runs any more */
	int (*rearm)(void);	/* arms and disarms as stap_idle() says; not zero: to be tried again. NULL: hits ask */
};

/* Something that must exist before anything is armed: contexts, print buffers, globals. A failing load() has cleaned up. */
struct stap_part {
	const char *name;
	int (*load)(void);
	void (*unload)(void);
};

static const struct stap_part *stap_parts_used;
static unsigned int stap_parts_count;
static const struct stap_engine *stap_engines_used;
static unsigned int stap_engines_count;

static DEFINE_MUTEX(stap_session_mutex);
static unsigned int stap_engines_started;
static unsigned int stap_parts_loaded;
static atomic_t stap_cmd_opened = ATOMIC_INIT(0);
static bool stap_detached;		/* armed without a runner; holds a reference of its own then */
static bool stap_recorder;
static int stap_start_error;
static u32 stap_begin_errors;
static const char *stap_start_engine = "";

static struct proc_dir_entry *stap_proc_dir;	/* /proc/systemtap/MODULE: engines may add files to it while they are started */

/* Sends a message of the session itself (an engine's "registration error", a report). Process context. */
static __maybe_unused __printf(2, 3) void stap_session_message(enum stap_item_kind kind, const char *format, ...)
{
	struct stap_record *record = kzalloc(1024, GFP_KERNEL);
	struct stap_item *item;
	va_list arguments;

	if (kind == STAP_ITEM_ERROR)
		atomic_inc(&stap_error_count);
	if (!record) {
		stap_transport_lose(0);
		return;
	}
	item = (struct stap_item *)(record + 1);
	item->kind = kind;
	va_start(arguments, format);
	item->value = vscnprintf((char *)(item + 1), 1024 - sizeof(*record) - sizeof(*item) - STAP_ALIGN, format,
				 arguments);
	va_end(arguments);
	record->length = sizeof(*item) + STAP_PAD(item->value);
	stap_transport_write(record, true);
	kfree(record);
}

/* The worker of conditions.h. Engines neither start nor stop meanwhile. */
static __maybe_unused int stap_engines_rearm(void)
{
	unsigned int i;
	int error = 0;

	for (i = 0; i < stap_engines_started; i++)
		if (stap_engines_used[i].rearm)
			error |= stap_engines_used[i].rearm();
	return error;
}

static void stap_engines_stop(void)
{
	stap_conditions_stop();
	while (stap_engines_started > 0)
		stap_engines_used[--stap_engines_started].stop();
}

/* No further engine is armed once a begin probe called exit(): its handlers could not run. */
static int stap_engines_start(void)
{
	int error;

	while (stap_engines_started < stap_engines_count && stap_state_now() == STAP_STATE_STARTING) {
		const struct stap_engine *engine = &stap_engines_used[stap_engines_started];

		stap_conditions_look();	/* begin probes may have changed them */
		error = engine->start();
		if (error) {
			stap_start_error = error;
			stap_start_engine = engine->name;
			return error;
		}
		stap_engines_started++;
	}
	stap_conditions_start();
	return 0;
}

static void stap_session_stop(void)
{
	enum stap_state state = stap_state_now();

	if (state == STAP_STATE_LOADED || state == STAP_STATE_STOPPED)
		return;
	if (!stap_state_move(STAP_STATE_RUNNING, STAP_STATE_STOPPING))
		stap_state_move(STAP_STATE_STARTING, STAP_STATE_STOPPING);
	stap_engines_stop();
	atomic_set(&stap_state, STAP_STATE_STOPPED);
	wake_up_all(&stap_state_wait);
}

static int stap_session_start(const struct stap_command *command)
{
	int error;

	if (!stap_state_move(STAP_STATE_LOADED, STAP_STATE_STARTING))
		return -EALREADY;
	stap_target_pid = command->target;
	stap_owner_set(command->user);
	stap_runner_pid = current->tgid;
	error = stap_engines_start();
	if (error) {
		stap_request_abort();
		stap_session_stop();
		return error;
	}
	stap_begin_errors = atomic_read(&stap_error_count);
	stap_state_move(STAP_STATE_STARTING, STAP_STATE_RUNNING);
	return 0;
}

static int stap_cmd_open(struct inode *inode, struct file *file)
{
	if (!try_module_get(THIS_MODULE))
		return -ENODEV;
	if (atomic_cmpxchg(&stap_cmd_opened, 0, 1) != 0) {
		module_put(THIS_MODULE);
		return -EBUSY;
	}
	stap_transport_keep();
	return stream_open(inode, file);	/* EXIT is written while the write of START is under way */
}

/* Before the file that the caller holds goes, so the module does not. */
static void stap_session_detach(bool recorder)
{
	if (!stap_detached)
		__module_get(THIS_MODULE);
	stap_detached = true;
	stap_recorder = recorder;
}

static void stap_session_end(void)
{
	stap_session_stop();
	if (stap_detached)
		module_put(THIS_MODULE);
	stap_detached = false;
}

/* The runner is gone, whether it said STOP or was killed. */
static int stap_cmd_release(struct inode *inode, struct file *file)
{
	mutex_lock(&stap_session_mutex);
	if (!stap_detached)
		stap_session_stop();
	else if (stap_recorder)
		stap_transport_record();
	mutex_unlock(&stap_session_mutex);
	atomic_set(&stap_cmd_opened, 0);
	module_put(THIS_MODULE);
	return 0;
}

static ssize_t stap_cmd_write(struct file *file, const char __user *from, size_t count, loff_t *at)
{
	struct stap_command command;
	int error = 0;

	if (count != sizeof(command) || copy_from_user(&command, from, sizeof(command)))
		return -EINVAL;
	if (command.version != STAP_PROTOCOL_VERSION)
		return -EPROTO;
	if (command.type == STAP_COMMAND_EXIT) {
		stap_request_exit();
		return count;
	}
	mutex_lock(&stap_session_mutex);
	switch (command.type) {
	case STAP_COMMAND_START:
		error = stap_session_start(&command);
		break;
	case STAP_COMMAND_STOP:
		stap_session_end();
		break;
	case STAP_COMMAND_DETACH:
		stap_session_detach(command.flags & STAP_FLAG_RECORDER);
		break;
	default:
		error = -EINVAL;
	}
	mutex_unlock(&stap_session_mutex);
	return error ? error : (ssize_t)count;
}

static ssize_t stap_cmd_read(struct file *file, char __user *to, size_t count, loff_t *at)
{
	struct stap_status status;
	enum stap_skip cause;

	if (count < sizeof(status))
		return -EINVAL;
	memset(&status, 0, sizeof(status));
	status.version = STAP_PROTOCOL_VERSION;
	status.state = stap_state_now();
	status.errors = atomic_read(&stap_error_count);
	status.skipped = atomic_read(&stap_skipped_count);
	for (cause = 0; cause < STAP_SKIPS; cause++)
		if (stap_skip_by_design(cause))
			status.nested += atomic_read(&stap_skipped_by[cause]);
	status.skipped_stack = atomic_read(&stap_skipped_by[STAP_SKIP_STACK]);
	status.skipped_lock = atomic_read(&stap_skipped_by[STAP_SKIP_LOCK]);
	status.skipped_missed = atomic_read(&stap_skipped_by[STAP_SKIP_KRETPROBE]) +
				atomic_read(&stap_skipped_by[STAP_SKIP_URETPROBE]);
	status.begin_errors = stap_begin_errors;
	status.start_error = stap_start_error;
	strscpy(status.start_engine, stap_start_engine, sizeof(status.start_engine));
	stap_transport_report(&status);
	if (copy_to_user(to, &status, sizeof(status)))
		return -EFAULT;
	return sizeof(status);
}

static __poll_t stap_cmd_poll(struct file *file, poll_table *wait)
{
	poll_wait(file, &stap_state_wait, wait);
	return stap_state_now() >= STAP_STATE_STOPPING ? EPOLLIN | EPOLLRDNORM : 0;
}

static const struct proc_ops stap_cmd_ops = {
	.proc_open = stap_cmd_open,
	.proc_release = stap_cmd_release,
	.proc_read = stap_cmd_read,
	.proc_write = stap_cmd_write,
	.proc_poll = stap_cmd_poll,
	.proc_lseek = noop_llseek,
};

#define STAP_PROC_ROOT "systemtap"

/* How many links the shared directory has (2: it is empty), or 0 when there is none. The runner serializes loads and unloads. */
static unsigned int stap_proc_root_links(void)
{
	struct kstat stat;
	struct path path;
	int error;

	if (kern_path("/proc/" STAP_PROC_ROOT, LOOKUP_FOLLOW, &path))
		return 0;
	error = vfs_getattr(&path, &stat, STATX_NLINK, 0);
	path_put(&path);
	return error ? 3 : stat.nlink;
}

static int stap_proc_create(void)
{
	char name[sizeof(STAP_PROC_ROOT) + MODULE_NAME_LEN + 1];

	if (!stap_proc_root_links() && !proc_mkdir(STAP_PROC_ROOT, NULL))
		return -ENOMEM;
	snprintf(name, sizeof(name), STAP_PROC_ROOT "/%s", module_name(THIS_MODULE));
	stap_proc_dir = proc_mkdir(name, NULL);
	return stap_proc_dir ? 0 : -ENOMEM;
}

static void stap_proc_remove(void)
{
	if (stap_proc_dir)
		proc_remove(stap_proc_dir);
	stap_proc_dir = NULL;
	if (stap_proc_root_links() == 2)
		remove_proc_entry(STAP_PROC_ROOT, NULL);
}

static void stap_session_unload(void)
{
	mutex_lock(&stap_session_mutex);
	stap_session_stop();
	mutex_unlock(&stap_session_mutex);
	stap_proc_remove();
	irq_work_sync(&stap_state_work);
	while (stap_parts_loaded > 0)
		stap_parts_used[--stap_parts_loaded].unload();
	stap_transport_close();
}

static int stap_parts_load(void)
{
	int error;

	while (stap_parts_loaded < stap_parts_count) {
		error = stap_parts_used[stap_parts_loaded].load();
		if (error)
			return error;
		stap_parts_loaded++;
	}
	return 0;
}

static int stap_session_load(const struct stap_part *parts, unsigned int part_count,
			     const struct stap_engine *engines, unsigned int engine_count)
{
	int error;

	stap_parts_used = parts;
	stap_parts_count = part_count;
	stap_engines_used = engines;
	stap_engines_count = engine_count;
	error = stap_proc_create();
	if (!error)
		error = stap_transport_open(stap_proc_dir);
	if (!error)
		error = stap_parts_load();	/* which may have something to say */
	if (!error && !proc_create("cmd", 0600, stap_proc_dir, &stap_cmd_ops))
		error = -ENOMEM;
	if (error)
		stap_session_unload();
	return error;
}

/* The last line of a module: `parts` and `engines` are its two tables. */
#define STAP_MODULE(parts, engines)							\
	static int __init stap_module_init(void)					\
	{										\
		return stap_session_load(parts, ARRAY_SIZE(parts),			\
					 engines, ARRAY_SIZE(engines));			\
	}										\
	static void __exit stap_module_exit(void)					\
	{										\
		stap_session_unload();							\
	}										\
	module_init(stap_module_init);							\
	module_exit(stap_module_exit);							\
	MODULE_INFO(stap_protocol, __stringify(STAP_PROTOCOL_VERSION));			\
	MODULE_LICENSE("GPL")

#endif
