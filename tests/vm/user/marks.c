
#include <sys/sdt.h>
#include <stdio.h>
#include <string.h>

int g = 77;
int main(int argc, char **argv) {
	char buf[20] = "hello"; signed char sc = -5; unsigned short us = 65000; long l = -1234567890123L; int arr[4] = {1,2,3,4};
	for (volatile int i = 0; i < 3; i++) {
	  STAP_PROBE2(prov, sem, i, buf);
	  STAP_PROBE6(prov, many, sc, us, l, 5, arr[i], g);
	  STAP_PROBE(other, none);
	}
	return 0;
}
