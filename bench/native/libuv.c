/* The servers and loops on libuv. Each runs its own loop on the calling thread and returns only on an error. */

#include <stdlib.h>
#include <string.h>
#include <uv.h>

const char *anyport_bench_uv_version(void) { return uv_version_string(); }

/* One buffer for all connections: what is read is sent, or copied, before the callback returns. */
static char *shared;
static size_t shared_size;

static void give_shared(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
  (void)handle;
  (void)suggested;
  *buffer = uv_buf_init(shared, (unsigned)shared_size);
}

/* --- TCP --- */

struct rest {
  uv_write_t request;
  char bytes[];
};

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer);

static void on_close(uv_handle_t *handle) { free(handle); }

static void on_written(uv_write_t *request, int status) {
  uv_stream_t *stream = request->handle;
  free(request);
  if (uv_is_closing((uv_handle_t *)stream))
    return;
  if (status < 0)
    uv_close((uv_handle_t *)stream, on_close);
  else
    uv_read_start(stream, give_shared, on_read);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer) {
  if (length == 0)
    return;
  if (length < 0) {
    uv_close((uv_handle_t *)stream, on_close);
    return;
  }
  uv_buf_t message = uv_buf_init(buffer->base, (unsigned)length);
  int sent = uv_try_write(stream, &message, 1);
  if (sent == length)
    return;
  if (sent < 0 && sent != UV_EAGAIN) {
    uv_close((uv_handle_t *)stream, on_close);
    return;
  }
  if (sent < 0)
    sent = 0;
  /* The socket is full. Nothing more is read until it has taken the rest. */
  size_t left = (size_t)(length - sent);
  struct rest *rest = malloc(sizeof *rest + left);
  memcpy(rest->bytes, buffer->base + sent, left);
  message = uv_buf_init(rest->bytes, (unsigned)left);
  uv_read_stop(stream);
  if (uv_write(&rest->request, stream, &message, 1, on_written) < 0) {
    free(rest);
    uv_close((uv_handle_t *)stream, on_close);
  }
}

static void on_connection(uv_stream_t *listener, int status) {
  if (status < 0)
    return;
  uv_tcp_t *peer = malloc(sizeof *peer);
  uv_tcp_init(listener->loop, peer);
  if (uv_accept(listener, (uv_stream_t *)peer) < 0) {
    uv_close((uv_handle_t *)peer, on_close);
    return;
  }
  uv_tcp_nodelay(peer, 1);
  uv_read_start((uv_stream_t *)peer, give_shared, on_read);
}

/* Echoes on the connections of the listening socket `fd`. */
int anyport_bench_uv_tcp(int fd, size_t buffer) {
  uv_loop_t *loop = uv_default_loop();
  uv_tcp_t listener;
  shared_size = buffer;
  shared = malloc(buffer);
  int status = uv_tcp_init(loop, &listener);
  if (status == 0)
    status = uv_tcp_open(&listener, fd);
  if (status == 0)
    status = uv_listen((uv_stream_t *)&listener, 4096, on_connection);
  return status == 0 ? uv_run(loop, UV_RUN_DEFAULT) : status;
}

/* --- UDP --- */

static int reply;

static void on_datagram(uv_udp_t *socket, ssize_t length, const uv_buf_t *buffer, const struct sockaddr *from, unsigned flags) {
  (void)flags;
  if (length <= 0 || from == NULL || !reply)
    return;
  uv_buf_t message = uv_buf_init(buffer->base, (unsigned)length);
  uv_udp_try_send(socket, &message, 1, from);
}

/* Sends each datagram of the socket `fd` back, or with `replies` = 0 nowhere. */
int anyport_bench_uv_udp(int fd, int replies) {
  uv_loop_t *loop = uv_default_loop();
  uv_udp_t socket;
  reply = replies;
  /* Room for as many datagrams as libuv takes by one recvmmsg. */
  shared_size = 20 * 65536;
  shared = malloc(shared_size);
  int status = uv_udp_init_ex(loop, &socket, AF_UNSPEC | UV_UDP_RECVMMSG);
  if (status == 0)
    status = uv_udp_open(&socket, fd);
  if (status == 0)
    status = uv_udp_recv_start(&socket, give_shared, on_datagram);
  return status == 0 ? uv_run(loop, UV_RUN_DEFAULT) : status;
}
