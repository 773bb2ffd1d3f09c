#include "lib/tls/openssl.h"

#include <openssl/err.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/base/errno_status.h"

namespace weft::internal {

void OpenSslErrors::Clear() noexcept { ERR_clear_error(); }

OpenSslErrors OpenSslErrors::Take() {
  OpenSslErrors errors;
  const char* data = nullptr;
  int flags = 0;
  while (const unsigned long error = ERR_get_error_all(nullptr, nullptr, nullptr, &data, &flags)) {
    if (errors.first == 0) errors.first = error;
    const char* reason = ERR_reason_error_string(error);
    if (reason == nullptr) continue;
    if (absl::string_view(errors.text).find(reason) != absl::string_view::npos) continue;
    absl::StrAppend(&errors.text, errors.text.empty() ? "" : "; ", reason);
  }
  if (errors.text.empty()) errors.text = "OpenSSL names no reason";
  return errors;
}

absl::Status OpenSslErrors::ToStatus(absl::StatusCode otherwise, absl::string_view what) const {
  if (first != 0 && ERR_SYSTEM_ERROR(first)) return internal::ErrnoToStatus(ERR_GET_REASON(first), what);
  const bool no_memory = first != 0 && ERR_GET_REASON(first) == ERR_R_MALLOC_FAILURE;
  return absl::Status(no_memory ? absl::StatusCode::kResourceExhausted : otherwise, absl::StrCat(what, ": ", text));
}

}  // namespace weft::internal
