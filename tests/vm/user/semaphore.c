#define _SDT_HAS_SEMAPHORES 1
#include <sys/sdt.h>
#include <stdio.h>
unsigned short prov_sem_semaphore __attribute__((section(".probes")));
int main(int argc, char **argv) { char buf[] = "hello"; for (int i = 0; i < 3; i++) { printf("semaphore %d\n", prov_sem_semaphore); if (prov_sem_semaphore) STAP_PROBE2(prov, sem, i, buf); } return 0; }
