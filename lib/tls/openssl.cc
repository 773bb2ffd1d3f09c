#include "lib/tls/openssl.h"

#include <openssl/bio.h>
#include <openssl/err.h>

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/base/errno_status.h"
#include "lib/tls/byte_queue.h"

namespace weft::internal {

namespace {

ByteQueue& QueueOf(BIO* bio) noexcept { return *static_cast<ByteQueue*>(BIO_get_data(bio)); }

int WriteIntoQueue(BIO* bio, const char* bytes, int count) noexcept {
  BIO_clear_retry_flags(bio);
  if (QueueOf(bio).Append({bytes, static_cast<size_t>(count)})) return count;
  ERR_raise(ERR_LIB_BIO, ERR_R_MALLOC_FAILURE);
  return -1;
}

int ReadFromQueue(BIO* bio, char* bytes, int count) noexcept {
  BIO_clear_retry_flags(bio);
  const size_t taken = QueueOf(bio).Take({bytes, static_cast<size_t>(count)});
  if (taken > 0) return static_cast<int>(taken);
  BIO_set_retry_read(bio);
  return -1;
}

// Nothing is held back, so there is nothing to flush. Every other question is about what this is not.
long Control(BIO*, int what, long, void*) noexcept { return what == BIO_CTRL_FLUSH ? 1 : 0; }

BIO_METHOD* MakeMethod() noexcept {
  BIO_METHOD* const method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weft::internal::ByteQueue");
  if (method == nullptr) return nullptr;
  BIO_meth_set_write(method, &WriteIntoQueue);
  BIO_meth_set_read(method, &ReadFromQueue);
  BIO_meth_set_ctrl(method, &Control);
  return method;
}

}  // namespace

BioPtr BioOf(ByteQueue& queue) noexcept {
  static BIO_METHOD* const method = MakeMethod();
  BioPtr bio(method == nullptr ? nullptr : BIO_new(method));
  if (bio == nullptr) return nullptr;
  BIO_set_data(bio.get(), &queue);
  BIO_set_init(bio.get(), 1);
  return bio;
}

void OpenSslErrors::Clear() noexcept { ERR_clear_error(); }

OpenSslErrors OpenSslErrors::Take() {
  OpenSslErrors errors;
  const char* data = nullptr;
  int flags = 0;
  while (const unsigned long error = ERR_get_error_all(nullptr, nullptr, nullptr, &data, &flags)) {
    if (errors.first == 0) errors.first = error;
    if (errors.first_of_tls == 0 && ERR_GET_LIB(error) == ERR_LIB_SSL) errors.first_of_tls = error;
    const char* reason = ERR_reason_error_string(error);
    if (reason == nullptr) continue;
    if (absl::string_view(errors.text).find(reason) != absl::string_view::npos) continue;
    absl::StrAppend(&errors.text, errors.text.empty() ? "" : "; ", reason);
  }
  if (errors.text.empty()) errors.text = "OpenSSL names no reason";
  return errors;
}

bool OpenSslErrors::OfSystem() const noexcept {
  return first != 0 && (ERR_SYSTEM_ERROR(first) || ERR_GET_REASON(first) == ERR_R_MALLOC_FAILURE);
}

absl::Status OpenSslErrors::ToStatus(absl::StatusCode otherwise, absl::string_view what) const {
  if (first != 0 && ERR_SYSTEM_ERROR(first)) return internal::ErrnoToStatus(ERR_GET_REASON(first), what);
  return absl::Status(OfSystem() ? absl::StatusCode::kResourceExhausted : otherwise, absl::StrCat(what, ": ", text));
}

}  // namespace weft::internal
