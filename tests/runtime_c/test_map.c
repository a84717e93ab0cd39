/* map.h with the generated shapes of map.h.j2: against a plain model, with random operations. */
#define STAP_BUCKETS 128
#include "test.h"
#include "shapes.h"	/* ls_l, l_s, l_x: written by the test from the template */

static struct stap_context c;

static int count_of(struct stap_map *map)
{
	struct stap_node *node, *last = NULL;
	int count = 0;

	for (node = map->first; node; node = node->next) {
		CHECK(node->previous == last);
		last = node;
		count++;
	}
	CHECK(map->last == last);
	CHECK((u32)count == map->count);
	return count;
}

static void against_model(void)
{
	struct stap_map map = { .size = 50, .node_bytes = sizeof(struct m_ls_l_node) };
	struct text names[4] = { text_of(""), text_of("a"), text_of("a longer name than a word"), text_of("b") };
	s64 model[20][4];
	bool present[20][4] = { { false } };
	int round, total = 0;

	CHECK(!stap_map_load(&map));
	srandom(1);
	for (round = 0; round < 200000; round++) {
		int i = random() % 20, j = random() % 4;
		struct m_ls_l_node *found;

		switch (random() % 3) {
		case 0:
			found = m_ls_l_find(&map, i, names[j].s);
			CHECK(!found == !present[i][j]);
			CHECK(!found || found->value == model[i][j]);
			break;
		case 1:
			found = m_ls_l_obtain(&c, &map, 1, i, names[j].s);
			CHECK(!found == (!present[i][j] && total == 50));
			if (!found) {
				CHECK_TEXT(c.last_error, "Array overflow, check MAXMAPENTRIES");
				stap_error_clear(&c);
				break;
			}
			CHECK(present[i][j] || found->value == 0);
			total += !present[i][j];
			present[i][j] = true;
			model[i][j] = found->value = random();
			break;
		default:
			found = m_ls_l_find(&map, i, names[j].s);
			if (found) {
				stap_map_remove(&map, &found->node);
				total--;
			}
			present[i][j] = false;
		}
	}
	CHECK(count_of(&map) == total);
	stap_map_clear(&map);
	CHECK(count_of(&map) == 0);
	for (round = 0; round < 50; round++)
		CHECK(m_ls_l_obtain(&c, &map, 1, round, names[0].s));
	CHECK(!m_ls_l_obtain(&c, &map, 1, -1, names[0].s));
	stap_error_clear(&c);
	stap_map_unload(&map);
}

static void sorting(void)
{
	struct stap_map map = { .size = 1000, .node_bytes = sizeof(struct m_ls_l_node) };
	struct stap_order by_key = { .offset = offsetof(struct m_ls_l_node, k0), .direction = -1 };
	struct stap_order by_text = { .offset = offsetof(struct m_ls_l_node, k1), .text = true, .direction = 1 };
	struct text names[3] = { text_of("c"), text_of("a"), text_of("b") };
	struct m_ls_l_node *node;
	int size, i;

	CHECK(!stap_map_load(&map));
	for (size = 0; size < 1000; size += size < 20 ? 1 : 333) {
		stap_map_clear(&map);
		for (i = 0; i < size; i++)
			m_ls_l_obtain(&c, &map, 1, (i * 7919) % 101, names[i % 3].s)->value = i;
		stap_map_sort(&map, by_text);
		stap_map_sort(&map, by_key);
		count_of(&map);
		for (node = (void *)map.first; node && node->node.next; node = (void *)node->node.next) {
			struct m_ls_l_node *next = (void *)node->node.next;

			CHECK(node->k0 >= next->k0);	/* and equal ones stay as they were: by text */
			CHECK(node->k0 > next->k0 || strcmp(node->k1, next->k1) <= 0);
		}
	}
	stap_map_unload(&map);
}

static void wrapping(void)
{
	struct stap_map map = { .size = 3, .node_bytes = sizeof(struct m_l_s_node), .wrap = true };
	struct text kept = text_of("kept");
	struct m_l_s_node *node;
	int i;

	CHECK(!stap_map_load(&map));
	for (i = 0; i < 10; i++) {
		node = m_l_s_obtain(&c, &map, 1, i);
		CHECK(node && node->value[0] == 0);
		stap_copy(node->value, kept.s);
	}
	CHECK(count_of(&map) == 3);
	CHECK(!m_l_s_find(&map, 6) && m_l_s_find(&map, 7) && m_l_s_find(&map, 9));
	stap_map_unload(&map);
}

static void statistics(void)
{
	const struct stap_stat_kind kind = { .parts = STAP_STAT_SUM | STAP_STAT_RANGE, .buckets = 128 };
	struct stap_map map = { .size = 4, .node_bytes = sizeof(struct m_l_x_node),
				.cell_bytes = sizeof(struct stap_cell) + 128 * sizeof(s64) };
	struct m_l_x_node *node;
	int i;

	CHECK(!stap_map_load(&map));
	for (i = 0; i < 40; i++) {
		node = m_l_x_obtain(&c, &map, 1, i % 4);
		stap_stat_add(stap_map_cell(&map, &node->node, i % 3 == 0), kind, i);
	}
	stap_map_collect(&c, &map, (void *)m_l_x_find(&map, 3), kind.parts, 128);
	CHECK(c.total.cell.count == 10 && c.total.cell.minimum == 3 && c.total.cell.maximum == 39);
	CHECK(c.total.cell.sum == 3 + 7 + 11 + 15 + 19 + 23 + 27 + 31 + 35 + 39);
	CHECK(c.total.buckets[64 + 6] == 2);	/* 35, 39 */
	stap_map_rank(&c, &map, kind.parts, STAP_RANK_SUM);
	stap_map_sort(&map, (struct stap_order){ .offset = offsetof(struct stap_node, rank), .direction = -1 });
	CHECK(((struct m_l_x_node *)map.first)->k0 == 3);
	stap_map_remove(&map, &m_l_x_find(&map, 3)->node);
	node = m_l_x_obtain(&c, &map, 1, 77);	/* the same cells again: they must be empty */
	stap_map_collect(&c, &map, &node->node, kind.parts, 128);
	CHECK(c.total.cell.count == 0 && c.total.buckets[64 + 6] == 0);
	stap_map_unload(&map);
}

int main(void)
{
	against_model();
	sorting();
	wrapping();
	statistics();
	return 0;
}
