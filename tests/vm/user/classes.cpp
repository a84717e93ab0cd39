// Every shape of a C++ value, with contents that the tests know.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace shop {
enum class Level : unsigned char { Low = 1, High = 200 };
enum Plain { P0, P1 };

struct Base {
	int base_member = 7;
	virtual ~Base() {}
	virtual int kind() { return 1; }
};

struct Other {
	const char *label = "other";
	bool flag = true;
};

class Item : public Base, public Other {
public:
	int member;
	static int shared;
	static const int limit = 19;
	static inline const char *made = "here"; // defined where it is used
	double weight = 2.5;
	char *text = const_cast<char *>("text");
	char name[6] = "abc";
	Level level = Level::High;
	int &ref;
	const std::string title = "a title";
	union {
		int whole = 65537;
		short half;
	};
	std::vector<int> list{ 4, 5, 6 };
	std::unique_ptr<int> owner;
	int Item::*pm = &Item::member;
	int (Item::*pf)(int) = nullptr;

	explicit Item(int m, int &r) : member(m), ref(r) {}
	int kind() override { return 2; }
	__attribute__((noinline)) int method(int a) { return printf("%d %d\n", member, a) + member; }
	__attribute__((noinline)) int method(const char *s) { return printf("%s\n", s) + member; }
	__attribute__((noinline)) static int once(long q) { return printf("%ld\n", q); }
	__attribute__((noinline)) int operator+(int k) const { return printf("+ %d\n", k) + member; }
};
int Item::shared = 77;
thread_local int own = 5;
int counter = 12;
namespace {
	volatile int hidden = -3;
}
namespace deep {
	struct Part {
		int x = 1, y = 2;
	} part;
}

template <typename T, int N> struct Box {
	T items[N];
	T *first;
	__attribute__((noinline)) T get(int i) { return printf("get %d\n", i) + items[i]; }
};

struct Root { int root = 5; virtual int f() { return 0; } };
struct Left : virtual Root { int left = 6; };
struct Right : virtual Root { int right = 8; };
struct Diamond : Left, Right { int own = 9; };
struct Empty {};
struct Copied {
	int held;
	explicit Copied(int h) : held(h) {}
	Copied(const Copied &o) : held(o.held) {}
};

__attribute__((noinline)) int references(const Item &k, Item &&r, std::string &s, int &n, bool yes, Level lv, Plain pl,
					 wchar_t w, char16_t c16)
{
	return printf("%d %d %s %d %d %d %d %d %d\n", k.member, r.member, s.c_str(), n, yes, int(lv), pl, int(w), int(c16));
}

__attribute__((noinline)) int values(Item *p, std::string s, std::vector<int> v, Copied c, Empty e)
{
	return printf("%d %s %zu %d\n", p->member, s.c_str(), v.size(), c.held);
}

__attribute__((noinline)) int inherited(Base *b, Diamond *d)
{
	return printf("%d %d %d\n", b->kind(), d->root, d->own);
}

template <typename T> __attribute__((noinline)) T twice(T x)
{
	return printf("twice\n") + x;
}
}

int counter = 1000;

int main()
{
	int n = 42;
	shop::Item k(3, n);
	std::string s("hello");
	shop::Box<int, 3> box{ { 1, 2, 3 }, nullptr };
	shop::Diamond d;

	box.first = box.items;
	k.method(4);
	k.method("x");
	shop::Item::once(12345678901L);
	k + 5;
	shop::references(k, shop::Item(8, n), s, n, true, shop::Level::Low, shop::P1, L'w', u'c');
	shop::values(&k, s, k.list, shop::Copied(31), {});
	shop::twice(21);
	box.get(1);
	shop::inherited(&k, &d);
	shop::own++;
	shop::hidden -= shop::Item::limit + shop::counter++;
	counter += shop::hidden;
	n += shop::Item::made[0] == 0;
	auto lambda = [&n, s](int z) __attribute__((noinline)) { return printf("%d %s\n", n + z, s.c_str()); };
	return lambda(6) == 0;
}
