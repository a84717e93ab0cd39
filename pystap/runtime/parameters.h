/* SPDX-License-Identifier: GPL-2.0 */
/*
 * parameters.h: script globals as module parameters (-G NAME=VALUE). Runs at
 * load only, before anything else; takes no lock.
 */
#ifndef STAP_PARAMETERS_H
#define STAP_PARAMETERS_H

static int stap_parameter_long_set(const char *text, const struct kernel_param *parameter)
{
	long long value;
	unsigned long long wide;
	int error = kstrtoll(text, 0, &value);

	if (error) {
		error = kstrtoull(text, 0, &wide);
		value = wide;
	}
	if (!error)
		*(s64 *)parameter->arg = value;
	return error;
}

static int stap_parameter_string_set(const char *text, const struct kernel_param *parameter)
{
	return strscpy(parameter->arg, text, MAXSTRINGLEN) < 0 ? -ENOSPC : 0;
}

static const struct kernel_param_ops stap_parameter_long __maybe_unused = { .set = stap_parameter_long_set };
static const struct kernel_param_ops stap_parameter_string __maybe_unused = { .set = stap_parameter_string_set };

/*
 * Spelt out and not by module_param_cb(): a script may name its global like a
 * macro of the kernel's, which would be expanded on the way.
 */
#define STAP_PARAMETER(operations, variable, spelt)						\
	static const char variable##_parameter_name[] = spelt;					\
	static const struct kernel_param variable##_parameter __used __section("__param")	\
		__aligned(sizeof(void *)) = {							\
		.name = variable##_parameter_name, .mod = THIS_MODULE, .ops = &operations,	\
		.perm = 0, .level = -1, .arg = (void *)&(variable),				\
	}
#define STAP_PARAMETER_LONG(variable, spelt) STAP_PARAMETER(stap_parameter_long, variable, spelt)
#define STAP_PARAMETER_STRING(variable, spelt) STAP_PARAMETER(stap_parameter_string, variable, spelt)

#endif
