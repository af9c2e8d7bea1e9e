/* A publisher that is never the bottleneck: after a ZMTP handshake it writes the same encoded messages over and over, as
   fast as the kernel takes them, to one subscriber after the other. Usage: send PAYLOAD_BYTES; prints its endpoint. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MORE = 1, LONG = 2, COMMAND = 4, PIECE = 1 << 20 };

static size_t frame(uint8_t *target, int flags, const void *body, uint64_t size) {
  size_t offset = 0;
  target[offset++] = flags | (size > 255 ? LONG : 0);
  if (size > 255)
    for (int shift = 56; shift >= 0; shift -= 8) target[offset++] = size >> shift;
  else
    target[offset++] = size;
  if (body != NULL) memcpy(target + offset, body, size);
  else memset(target + offset, 0x5a, size);
  return offset + size;
}

static int readAll(int fd, void *target, size_t size) {
  for (size_t done = 0; done < size;) {
    const ssize_t count = read(fd, (uint8_t *)target + done, size - done);
    if (count <= 0) return -1;
    done += count;
  }
  return 0;
}

static int writeAll(int fd, const uint8_t *bytes, size_t size) {
  for (size_t done = 0; done < size;) {
    const ssize_t count = write(fd, bytes + done, size - done);
    if (count <= 0) return -1;
    done += count;
  }
  return 0;
}

/* What a subscriber sends before it has to be served: greeting, READY, and a subscription in either form. */
static int handshake(int fd) {
  static const uint8_t ready[] = "\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03PUB";
  uint8_t greeting[64] = {0xff, [9] = 0x7f, [10] = 3, [11] = 1, [12] = 'N', 'U', 'L', 'L'}, theirs[64];
  if (writeAll(fd, greeting, sizeof greeting) < 0 || writeAll(fd, ready, sizeof ready - 1) < 0) return -1;
  if (readAll(fd, theirs, sizeof theirs) < 0) return -1;
  for (int frames = 0; frames < 2; frames++) {
    uint8_t header[2], body[255];
    if (readAll(fd, header, 2) < 0 || (header[0] & LONG) || readAll(fd, body, header[1]) < 0) return -1;
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  signal(SIGPIPE, SIG_IGN);
  const uint64_t payload = strtoull(argv[1], NULL, 10);
  uint8_t *piece = malloc(PIECE + payload + 64);
  size_t size = 0;
  while (size < PIECE) {
    size += frame(piece + size, MORE, "", 0);
    size += frame(piece + size, MORE, "\1\1\1\1\1\1\1\1", 8);
    size += frame(piece + size, 0, NULL, payload);
  }
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  const int server = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(server, (struct sockaddr *)&address, length) < 0 || listen(server, 1) < 0) return 3;
  getsockname(server, (struct sockaddr *)&address, &length);
  printf("tcp://127.0.0.1:%d\n", ntohs(address.sin_port));
  fflush(stdout);
  for (;;) {
    const int fd = accept(server, NULL, NULL);
    if (fd < 0) return 4;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (handshake(fd) == 0)
      while (writeAll(fd, piece, size) == 0);
    close(fd);
  }
}
