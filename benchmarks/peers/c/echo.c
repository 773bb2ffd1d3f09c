// The least that an echo server can cost: C, one thread, epoll.
//
// Edge-triggered: a connection is put back into the kernel's ready list only when something has come, not once after
// every event. A read that does not fill the buffer has emptied the socket (epoll(7)), so there is one read for a
// request, and no second one that finds nothing. All share one buffer; a connection that takes no answers keeps what is
// left of one, and is not read until it has taken that.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { kBufferBytes = 1024, kMaxEvents = 1024 };

struct connection {
  int fd;
  char* kept;  // of an answer that was not taken whole; null: nothing
  size_t kept_bytes;
};

static char buffer[kBufferBytes];

static int require(int result, const char* what) {
  if (result >= 0) return result;
  perror(what);
  exit(EXIT_FAILURE);
}

static void watch(int epoll, int fd, uint32_t events, void* owner) {
  struct epoll_event event = {.events = events, .data = {.ptr = owner}};
  require(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

static void accept_all(int epoll, int listener) {
  for (;;) {
    const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EAGAIN) return;
      if (errno == ECONNABORTED || errno == EINTR) continue;
      require(fd, "accept4");
    }
    const int one = 1;
    require(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), "setsockopt(TCP_NODELAY)");
    struct connection* const connection = calloc(1, sizeof(*connection));
    if (connection == NULL) require(-1, "calloc");
    connection->fd = fd;
    watch(epoll, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, connection);
  }
}

static void end(struct connection* connection) {
  close(connection->fd);
  free(connection->kept);
  free(connection);
}

// 1: all was sent; 0: the rest is kept; -1: the connection is broken.
static int send_or_keep(struct connection* connection, const char* bytes, size_t size) {
  const ssize_t sent = send(connection->fd, bytes, size, MSG_NOSIGNAL);
  if (sent == (ssize_t)size) return 1;
  if (sent < 0 && errno != EAGAIN) return -1;
  const size_t done = sent < 0 ? 0 : (size_t)sent;
  char* const rest = malloc(size - done);
  if (rest == NULL) return -1;
  memcpy(rest, bytes + done, size - done);
  free(connection->kept);
  connection->kept = rest;
  connection->kept_bytes = size - done;
  return 0;
}

static int send_kept(struct connection* connection) {
  char* const kept = connection->kept;
  connection->kept = NULL;
  const int result = send_or_keep(connection, kept, connection->kept_bytes);
  free(kept);
  return result;
}

// Whether the connection goes on.
static int serve(struct connection* connection, uint32_t events) {
  if (connection->kept != NULL) {
    const int sent = send_kept(connection);
    if (sent <= 0) return sent == 0;
    events |= EPOLLRDHUP;  // what came meanwhile has no event of its own: read until there is nothing
  } else if ((events & ~(uint32_t)EPOLLOUT) == 0) {
    return 1;
  }
  for (;;) {
    const ssize_t got = recv(connection->fd, buffer, sizeof(buffer), 0);
    if (got == 0) return 0;
    if (got < 0) return errno == EAGAIN;
    const int sent = send_or_keep(connection, buffer, (size_t)got);
    if (sent <= 0) return sent == 0;
    if (got < (ssize_t)sizeof(buffer) && (events & ~(uint32_t)(EPOLLIN | EPOLLOUT)) == 0) return 1;
  }
}

int main(void) {
  const int listener = require(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof(address);
  require(bind(listener, (const struct sockaddr*)&address, size), "bind");
  require(listen(listener, SOMAXCONN), "listen");
  require(getsockname(listener, (struct sockaddr*)&address, &size), "getsockname");
  printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
  fflush(stdout);

  const int epoll = require(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
  watch(epoll, listener, EPOLLIN, NULL);
  static struct epoll_event events[kMaxEvents];
  for (;;) {
    const int count = epoll_wait(epoll, events, kMaxEvents, -1);
    if (count < 0 && errno != EINTR) require(count, "epoll_wait");
    for (int i = 0; i < count; ++i) {
      struct connection* const connection = events[i].data.ptr;
      if (connection == NULL) {
        accept_all(epoll, listener);
      } else if (!serve(connection, events[i].events)) {
        end(connection);
      }
    }
  }
}
