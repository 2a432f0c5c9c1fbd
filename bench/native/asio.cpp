// The servers on Asio. Each runs its own context on the calling thread and returns only on an error.

#include <array>
#include <asio.hpp>
#include <cstddef>
#include <memory>
#include <vector>

using asio::ip::tcp;
using asio::ip::udp;

namespace {

// A chain of handlers that keeps itself alive: read, write all, read.
class Session : public std::enable_shared_from_this<Session> {
public:
  Session(tcp::socket socket, std::size_t size) : socket_(std::move(socket)), buffer_(size) {}

  void read() {
    socket_.async_read_some(asio::buffer(buffer_), [self = shared_from_this()](std::error_code error, std::size_t length) {
      if (!error)
        self->write(length);
    });
  }

private:
  void write(std::size_t length) {
    asio::async_write(socket_, asio::buffer(buffer_, length), [self = shared_from_this()](std::error_code error, std::size_t) {
      if (!error)
        self->read();
    });
  }

  tcp::socket socket_;
  std::vector<char> buffer_;
};

void accept(tcp::acceptor &acceptor, std::size_t size) {
  acceptor.async_accept([&acceptor, size](std::error_code error, tcp::socket socket) {
    if (!error) {
      std::error_code ignored;
      socket.set_option(tcp::no_delay(true), ignored);
      std::make_shared<Session>(std::move(socket), size)->read();
    }
    accept(acceptor, size);
  });
}

class Datagrams {
public:
  Datagrams(udp::socket socket, bool reply, std::size_t size)
      : socket_(std::move(socket)), reply_(reply), buffer_(size) {}

  void receive() {
    socket_.async_receive_from(asio::buffer(buffer_), from_, [this](std::error_code error, std::size_t length) {
      if (!error && reply_)
        send(length);
      else
        receive();
    });
  }

private:
  void send(std::size_t length) {
    socket_.async_send_to(asio::buffer(buffer_, length), from_, [this](std::error_code, std::size_t) { receive(); });
  }

  udp::socket socket_;
  bool reply_;
  std::vector<char> buffer_;
  udp::endpoint from_;
};

} // namespace

extern "C" int anyport_bench_asio_version() { return ASIO_VERSION; }

// Echoes on the connections of the listening socket `fd`.
extern "C" int anyport_bench_asio_tcp(int fd, std::size_t buffer) try {
  asio::io_context context(ASIO_CONCURRENCY_HINT_UNSAFE);
  tcp::acceptor acceptor(context, tcp::v4(), fd);
  accept(acceptor, buffer);
  context.run();
  return 0;
} catch (const std::system_error &error) {
  return error.code().value();
}

// Sends each datagram of the socket `fd` back, or with `reply` = 0 nowhere.
extern "C" int anyport_bench_asio_udp(int fd, int reply, std::size_t buffer) try {
  asio::io_context context(ASIO_CONCURRENCY_HINT_UNSAFE);
  Datagrams datagrams(udp::socket(context, udp::v4(), fd), reply != 0, buffer);
  datagrams.receive();
  context.run();
  return 0;
} catch (const std::system_error &error) {
  return error.code().value();
}
