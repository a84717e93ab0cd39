/* SPDX-License-Identifier: GPL-2.0 */
/*
 * histogram.h: lays a histogram out as a chart of text.
 * Compiled into the runner (print) and into modules that want the chart as a
 * string (sprint), so that both look alike. Pure; any context; bounded by the
 * number of buckets.
 */
#ifndef STAP_HISTOGRAM_H
#define STAP_HISTOGRAM_H

struct stap_chart {
	struct stap_sink *sink;
	enum stap_histogram_type type;
	const struct stap_histogram *histogram;	/* without its counts */
	const s64 *counts;
	u32 first, last;	/* buckets shown */
	u32 label_width, count_width;
	s64 per_mark;		/* how much one @ stands for */
};

static void stap_chart_text(struct stap_chart *chart, const char *text)
{
	stap_put(chart->sink, text, strlen(text));
}

/* A number of digits with a prefix, right-justified in `width` columns; returns how many it needs. */
static u32 stap_chart_number(struct stap_chart *chart, const char *prefix, s64 value, u32 width, bool write)
{
	bool negative = value < 0;
	char digits[24];
	char *end = digits + sizeof(digits), *start = stap_digits(end, negative ? 0 - (u64)value : (u64)value, 'd');
	u32 length;

	if (negative)
		*--start = '-';
	length = strlen(prefix) + (end - start);
	if (write) {
		stap_put_fill(chart->sink, ' ', width > length ? width - length : 0);
		stap_chart_text(chart, prefix);
		stap_put(chart->sink, start, end - start);
	}
	return length;
}

static u32 stap_chart_label(struct stap_chart *chart, u32 bucket, bool write)
{
	const struct stap_histogram *h = chart->histogram;

	if (chart->type == STAP_HISTOGRAM_LOG) {
		s32 power = (s32)bucket - 64;
		s64 value = power == 0 ? 0 : (s64)(1ULL << ((power < 0 ? -power : power) - 1));

		return stap_chart_number(chart, "", power < 0 ? -value : value, chart->label_width, write);
	}
	if (bucket == 0)
		return stap_chart_number(chart, "<", h->low, chart->label_width, write);
	if (bucket == h->buckets - 1)
		return stap_chart_number(chart, ">", h->high, chart->label_width, write);
	return stap_chart_number(chart, "", h->low + (s64)(bucket - 1) * h->step, chart->label_width, write);
}

/*
 * Two empty buckets are shown on either side of what was counted; "<low" and
 * ">high" only when they counted something, negative powers only below zero.
 */
static bool stap_chart_range(struct stap_chart *chart)
{
	const struct stap_histogram *h = chart->histogram;
	s32 least = 0, most = (s32)h->buckets - 1, first, last;

	for (first = 0; first < (s32)h->buckets && !chart->counts[first]; first++)
		;
	if (first == (s32)h->buckets)
		return false;
	for (last = most; !chart->counts[last]; last--)
		;
	if (chart->type == STAP_HISTOGRAM_LINEAR) {
		least = chart->counts[0] ? 0 : 1;
		most = chart->counts[most] ? most : most - 1;
	} else if (first >= 64) {
		least = 64;
	}
	chart->first = first - 2 < least ? least : first - 2;
	chart->last = last + 2 > most ? most : last + 2;
	return true;
}

static u32 stap_chart_width(const struct stap_chart *chart)
{
	return chart->histogram->width ? chart->histogram->width : 50;
}

static void stap_chart_scale(struct stap_chart *chart)
{
	s64 width = stap_chart_width(chart), highest = 1;
	u32 i;

	chart->label_width = strlen("value");
	for (i = chart->first; i <= chart->last; i++) {
		u32 length = stap_chart_label(chart, i, false);

		if (length > chart->label_width)
			chart->label_width = length;
		if (chart->counts[i] > highest)
			highest = chart->counts[i];
	}
	chart->count_width = stap_chart_number(chart, " ", highest, 0, false);
	chart->per_mark = highest <= width ? 1 : (highest + width - 1) / width;
}

static void stap_chart_line(struct stap_chart *chart, u32 bucket)
{
	s32 marks = chart->counts[bucket] / chart->per_mark;

	stap_chart_label(chart, bucket, true);
	stap_chart_text(chart, " |");
	stap_put_fill(chart->sink, '@', marks);
	stap_put_fill(chart->sink, ' ', (s32)stap_chart_width(chart) - marks);
	stap_chart_number(chart, " ", chart->counts[bucket], chart->count_width, true);
	stap_chart_text(chart, "\n");
}

/* How many empty buckets stand in a row from this one on. */
static u32 stap_chart_empty(const struct stap_chart *chart, u32 bucket)
{
	u32 end = bucket;

	while (end <= chart->last && !chart->counts[end])
		end++;
	return end - bucket;
}

static void stap_chart_lines(struct stap_chart *chart)
{
	u32 keep = chart->histogram->elision ? chart->histogram->elision - 1u : 2;
	u32 i, k;

	for (i = chart->first; i <= chart->last;) {
		u32 run = stap_chart_empty(chart, i);

		if (run <= 2 * keep) {
			u32 end = i + (run ? run : 1);

			for (; i < end; i++)
				stap_chart_line(chart, i);
			continue;
		}
		for (k = 0; k < keep; k++)
			stap_chart_line(chart, i + k);
		stap_put_fill(chart->sink, ' ', chart->label_width);
		stap_chart_text(chart, " ~\n");
		for (k = run - keep; k < run; k++)
			stap_chart_line(chart, i + k);
		i += run;
	}
}

/* The whole chart; nothing where nothing was counted. */
static void stap_chart_put(struct stap_sink *sink, enum stap_histogram_type type, const struct stap_histogram *histogram,
			   const s64 *counts)
{
	struct stap_chart chart = { .sink = sink, .type = type, .histogram = histogram, .counts = counts };

	if (!stap_chart_range(&chart))
		return;
	stap_chart_scale(&chart);
	stap_put_fill(sink, ' ', chart.label_width - strlen("value"));
	stap_chart_text(&chart, "value |");
	stap_put_fill(sink, '-', stap_chart_width(&chart));
	stap_chart_text(&chart, " count\n");
	stap_chart_lines(&chart);
	stap_chart_text(&chart, "\n");
}

#ifdef STAP_CONTEXT_H
/* sprint(@hist_log(s)): the context's total, cut at what a string holds. */
static __maybe_unused noinline void stap_sprint_histogram(struct stap_context *c, char *to,
							  enum stap_histogram_type type, s64 low, s64 high, s64 step,
							  u32 buckets)
{
	struct stap_histogram histogram = {
		.low = low, .high = high, .step = step, .buckets = buckets, .width = HIST_WIDTH,
		.elision = HIST_ELISION + 1,
	};
	struct stap_sink sink = { .buffer = to, .size = MAXSTRINGLEN - 1 };

	stap_chart_put(&sink, type, &histogram, c->total.buckets);
	to[sink.used] = 0;
}
#endif

#endif
