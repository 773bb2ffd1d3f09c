#include "tests/examples/nginx.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gtest/gtest.h"

namespace http {
namespace {

using weft::net::SocketAddress;

constexpr std::string_view kConfiguration = R"(
daemon off;
worker_processes 2;
$user
pid $directory/pid;
error_log $directory/error.log;
events {
  worker_connections 1024;
}
http {
  access_log off;
  client_body_temp_path $directory/body;
  proxy_temp_path $directory/proxy;
  fastcgi_temp_path $directory/fastcgi;
  uwsgi_temp_path $directory/uwsgi;
  scgi_temp_path $directory/scgi;
  default_type application/octet-stream;
  sendfile on;
  ssi_types *;  # its answers have no length, as they are not complete when they begin
  $directives
  server {
    listen $address;
    root $directory/files;
    location /chunked/ { alias $directory/files/; ssi on; }
    location /slow/ { alias $directory/files/; limit_rate 64k; }
    location /slow-chunked/ { alias $directory/files/; limit_rate 64k; ssi on; }
    location /stored/ { root $directory; dav_methods PUT DELETE; create_full_put_path on; }
    location = /status { stub_status; }
  }
}
)";

std::string NewDirectory() {
  std::string path = testing::TempDir() + "/nginx_XXXXXX";
  EXPECT_NE(mkdtemp(path.data()), nullptr) << std::error_code(errno, std::generic_category()).message();
  return path;
}

}  // namespace

Nginx::Nginx() : directory_(NewDirectory()), port_(Bind(*SocketAddress::Parse("127.0.0.1:0"))) {
  std::filesystem::create_directory(directory_ + "/files");
}

Nginx::~Nginx() {
  process_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

// Non-blocking, as nginx expects of a socket that it inherits: two of its workers may wake up for one connection.
weft::io::UniqueDescriptor Nginx::Bind(const SocketAddress& address) {
  weft::io::UniqueDescriptor bound(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int yes = 1;
  EXPECT_EQ(setsockopt(bound.get(), SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes)), 0);
  EXPECT_EQ(setsockopt(bound.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)), 0);
  EXPECT_EQ(bind(bound.get(), address.data(), address.size()), 0)
      << address << ": " << std::error_code(errno, std::generic_category()).message();
  return bound;
}

SocketAddress Nginx::address() const {
  sockaddr_storage bound = {};
  socklen_t size = sizeof(bound);
  EXPECT_EQ(getsockname(port_.get(), reinterpret_cast<sockaddr*>(&bound), &size), 0);
  return *SocketAddress::From(reinterpret_cast<const sockaddr*>(&bound), size);
}

void Nginx::AddFile(const std::string& name, std::string_view contents) const {
  const std::filesystem::path path = absl::StrCat(directory_, "/files/", name);
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << contents;
}

std::string Nginx::Stored(const std::string& name) const {
  std::ostringstream contents;
  contents << std::ifstream(absl::StrCat(directory_, "/stored/", name), std::ios::binary).rdbuf();
  return contents.str();
}

// As root, it would give its workers to another user, who may not enter the directory, and whom a sandbox may not have.
void Nginx::Configure(const std::string& directives) const {
  std::ofstream(directory_ + "/nginx.conf")
      << absl::StrReplaceAll(absl::string_view(kConfiguration.data(), kConfiguration.size()),
                             {{"$user", geteuid() == 0 ? "user root;" : ""},
                              {"$directives", directives},
                              {"$directory", directory_},
                              {"$address", address().ToString()}});
}

weft::Task<absl::Status> Nginx::Start(const std::string& directives) {
  Configure(directives);
  const weft::io::UniqueDescriptor listener = Bind(address());
  if (listen(listener.get(), SOMAXCONN) != 0) co_return absl::ErrnoToStatus(errno, "listen");
  absl::StatusOr<weft::Process> started = co_await weft::Process::Start(
      {kProgram, "-p", directory_, "-c", directory_ + "/nginx.conf", "-e", directory_ + "/error.log"},
      {.standard_input = weft::Process::Redirect::To(listener.get()),
       .environment = {"NGINX=0;"},  // the descriptors that it inherits
       .process_group = true});
  if (!started.ok()) co_return started.status();
  process_.emplace(*std::move(started));
  co_return absl::OkStatus();
}

absl::Status Nginx::Signal(int signal) { return process_->Kill(signal); }

weft::Task<absl::StatusOr<weft::Process::Exit>> Nginx::Stop(int signal) {
  if (absl::Status asked = Signal(signal); !asked.ok()) co_return asked;
  absl::StatusOr<weft::Process::Exit> exit = co_await process_->Wait();
  process_.reset();
  co_return exit;
}

}  // namespace http
