/* libzmq's SUB as fast as C can read it: touches every frame, counts messages and bytes. Usage: sub ENDPOINT WARMUP MESSAGES */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <zmq.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static double cpu(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return u.ru_utime.tv_sec + u.ru_utime.tv_usec / 1e6 + u.ru_stime.tv_sec + u.ru_stime.tv_usec / 1e6;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  const long warmup = atol(argv[2]), messages = atol(argv[3]);
  void *context = zmq_ctx_new();
  void *sub = zmq_socket(context, ZMQ_SUB);
  int hwm = 100000;
  zmq_setsockopt(sub, ZMQ_RCVHWM, &hwm, sizeof hwm);
  zmq_setsockopt(sub, ZMQ_SUBSCRIBE, "", 0);
  if (zmq_connect(sub, argv[1]) != 0) return 3;
  double started = 0, startedCpu = 0;
  uint64_t bytes = 0, touched = 0;
  zmq_msg_t frame;
  zmq_msg_init(&frame);
  for (long count = 0; count < warmup + messages; count++) {
    if (count == warmup) {
      started = now();
      startedCpu = cpu();
      bytes = 0;
    }
    do {
      if (zmq_msg_recv(&frame, sub, 0) < 0) return 4;
      bytes += zmq_msg_size(&frame);
      if (zmq_msg_size(&frame) > 0) touched += *(const uint8_t *)zmq_msg_data(&frame);
    } while (zmq_msg_more(&frame));
  }
  printf("{\"messages\":%ld,\"bytes\":%llu,\"seconds\":%f,\"cpuSeconds\":%f,\"touched\":%llu}\n", messages,
         (unsigned long long)bytes, now() - started, cpu() - startedCpu, (unsigned long long)touched);
  fflush(stdout);
  _Exit(0);
}
