/* SPDX-License-Identifier: GPL-2.0 */
/*
 * tapset_flags.h: numbers as names, for tapset functions. Pure; any context;
 * loops bounded by the tables.
 */
#ifndef STAP_TAPSET_FLAGS_H
#define STAP_TAPSET_FLAGS_H

struct tapset_flag {
	u64 value;
	const char *name;
};

/* The name of one of several alternatives, else the number. */
static noinline void tapset_name(char *to, s64 value, const struct tapset_flag *names, u32 count)
{
	u32 k;

	for (k = 0; k < count; k++) {
		if ((s64)names[k].value == value || (value >= S32_MIN && names[k].value == (u32)value)) {
			strscpy(to, names[k].name, MAXSTRINGLEN);
			return;
		}
	}
	snprintf(to, MAXSTRINGLEN, "UNKNOWN VALUE: %lld", value);
}

static u32 tapset_flag_append(char *to, u32 used, const char *name)
{
	if (used)
		used = stap_append(to, used, "|");
	return stap_append(to, used, name);
}

/*
 * The names of the bits of a value, separated by |. The first `alternatives`
 * entries are alternatives for the bits in `mask`; a mask without alternatives
 * is shown as an octal number. What has no name is added as a number.
 */
static noinline void tapset_flags(char *to, u64 value, const struct tapset_flag *names, u32 count, u32 alternatives,
				  u64 mask)
{
	char number[24];
	u32 used = 0, k;

	if (mask && !alternatives && (value & mask)) {
		snprintf(number, sizeof(number), "%#llo", value & mask);
		used = tapset_flag_append(to, used, number);
		value &= ~mask;
	}
	for (k = 0; k < alternatives; k++) {
		if ((value & mask) != names[k].value)
			continue;
		used = tapset_flag_append(to, used, names[k].name);
		value &= ~mask;
		break;
	}
	for (k = alternatives; k < count; k++) {
		if (!names[k].value || (value & names[k].value) != names[k].value)
			continue;
		used = tapset_flag_append(to, used, names[k].name);
		value &= ~names[k].value;
	}
	if (value || !used) {
		snprintf(number, sizeof(number), "0x%llx", value);
		tapset_flag_append(to, used, number);
	}
}

#endif
