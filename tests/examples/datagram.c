/* Sends itself three datagrams of ten bytes. */
#include <arpa/inet.h>
#include <sys/socket.h>

int main(void)
{
	struct sockaddr_in self = { .sin_family = AF_INET, .sin_port = htons(5353) };
	char text[10] = "0123456789";
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	inet_aton("127.0.0.1", &self.sin_addr);
	if (bind(s, (struct sockaddr *)&self, sizeof(self)))
		return 1;
	for (int i = 0; i < 3; i++) {
		sendto(s, text, sizeof(text), 0, (struct sockaddr *)&self, sizeof(self));
		recv(s, text, sizeof(text), 0);
	}
	return 0;
}
