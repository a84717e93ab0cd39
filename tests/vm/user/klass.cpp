// Names that the linker sees mangled: a namespace, overloads, a template, references, a base class.
#include <stdio.h>

namespace ns {
struct Base {
	int base_member = 7;
};

struct Klass : Base {
	int member = 42;
	const char *label = "klass";
	__attribute__((noinline)) int method(int a);
	__attribute__((noinline)) int method(double d);
};

int Klass::method(int a)
{
	asm volatile("");
	return a + member + label[0];
}

int Klass::method(double d)
{
	asm volatile("");
	return (int)d + base_member;
}

template <typename T> __attribute__((noinline)) T twice(T x)
{
	asm volatile("");
	return x + x;
}

__attribute__((noinline)) int byref(Klass &k)
{
	asm volatile("");
	return k.member;
}
} // namespace ns

int main()
{
	ns::Klass k;

	printf("%d\n", k.method(3) + k.method(2.5) + ns::twice<int>(4) + ns::byref(k));
}
