/* Maps a file and fresh memory and hands both on without looking at either. */
#include <fcntl.h>
#include <sys/mman.h>

__attribute__((noinline)) int show(const char *file, const char *zero) { __asm__ volatile("" : : "r"(file), "r"(zero)); return 7; }

int main(int argc, char **argv)
{
	int fd = open(argv[1], O_RDONLY);
	char *file = mmap(0, 4 << 16, PROT_READ, MAP_PRIVATE, fd, 0);
	char *zero = mmap(0, 4 << 16, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return file == MAP_FAILED || zero == MAP_FAILED || show(file, zero) != 7;
}
