#ifndef SHAPES_H
#define SHAPES_H
#include <linux/module.h>
#include <linux/percpu.h>

enum colour { RED, GREEN = 5, BLUE, DARK = -3 };
typedef enum colour colour_t;

struct bits {
	unsigned int low:3, middle:11;
	signed int minus:5;
	unsigned int last:13;
	u64 wide:40, rest:24;
	bool flag:1;
	enum colour hue:4;
} __attribute__((aligned(8)));

struct __packed packed {
	u8 lead;
	u32 odd;
	u16 a:4, b:9, c:3;
	s64 far;
};

struct inner {
	int number;
	char text[12];
};

struct shape {
	s8 tiny;
	u8 byte;
	s16 small;
	u16 word;
	s32 medium;
	u32 dword;
	s64 large;
	u64 qword;
	bool yes;
	char letter;
	enum colour colour;
	colour_t other;
	struct bits bits;
	struct packed packed;
	union {
		u32 whole;
		u16 half[2];
		struct {
			u8 first, second, third, fourth;
		};
	};
	union {
		long as_long;
		char as_text[8];
	} named;
	struct {
		int x, y;
	} point, corners[2];
	struct inner inner, *pointed, many[3], *table[2], **twice;
	int matrix[2][3];
	char names[3][8];
	int (*call)(int, char *);
	void (*calls[2])(void);
	void *opaque;
	const char *string;
	volatile const int fixed;
	struct never_defined *hidden;
	int count;
	struct inner flexible[];
};

struct pair { long first, second; };
struct tiny { short a; char b; };
struct big { long words[5]; };

int types_run(void);
long places_run(void);
#endif
