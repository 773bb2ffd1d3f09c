#include "lib/base/errno_status.h"

#include <errno.h>
#include <string.h>

#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

// X(errno, code): every errno of Linux, in the kernel's order. The codes are those of absl::ErrnoToStatusCode, where it
// has one, except for two. EADDRNOTAVAIL: "already exists" misleads when no local port was left. EPIPE: the peer has
// gone, as for ECONNRESET. EDEADLOCK, ENOTSUP and EWOULDBLOCK are other names of EDEADLK, EOPNOTSUPP and EAGAIN.
// clang-format off
#define WEFT_ERRNOS(X) \
  X(EPERM, kPermissionDenied)             \
  X(ENOENT, kNotFound)                    \
  X(ESRCH, kNotFound)                     \
  X(EINTR, kUnavailable)                  \
  X(EIO, kDataLoss)                       \
  X(ENXIO, kNotFound)                     \
  X(E2BIG, kInvalidArgument)              \
  X(ENOEXEC, kFailedPrecondition)         \
  X(EBADF, kFailedPrecondition)           \
  X(ECHILD, kFailedPrecondition)          \
  X(EAGAIN, kUnavailable)                 \
  X(ENOMEM, kResourceExhausted)           \
  X(EACCES, kPermissionDenied)            \
  X(EFAULT, kInvalidArgument)             \
  X(ENOTBLK, kFailedPrecondition)         \
  X(EBUSY, kFailedPrecondition)           \
  X(EEXIST, kAlreadyExists)               \
  X(EXDEV, kUnimplemented)                \
  X(ENODEV, kNotFound)                    \
  X(ENOTDIR, kFailedPrecondition)         \
  X(EISDIR, kFailedPrecondition)          \
  X(EINVAL, kInvalidArgument)             \
  X(ENFILE, kResourceExhausted)           \
  X(EMFILE, kResourceExhausted)           \
  X(ENOTTY, kInvalidArgument)             \
  X(ETXTBSY, kFailedPrecondition)         \
  X(EFBIG, kOutOfRange)                   \
  X(ENOSPC, kResourceExhausted)           \
  X(ESPIPE, kInvalidArgument)             \
  X(EROFS, kPermissionDenied)             \
  X(EMLINK, kResourceExhausted)           \
  X(EPIPE, kUnavailable)                  \
  X(EDOM, kInvalidArgument)               \
  X(ERANGE, kOutOfRange)                  \
  X(EDEADLK, kAborted)                    \
  X(ENAMETOOLONG, kInvalidArgument)       \
  X(ENOLCK, kUnavailable)                 \
  X(ENOSYS, kUnimplemented)               \
  X(ENOTEMPTY, kFailedPrecondition)       \
  X(ELOOP, kInvalidArgument)              \
  X(ENOMSG, kNotFound)                    \
  X(EIDRM, kNotFound)                     \
  X(ECHRNG, kOutOfRange)                  \
  X(EL2NSYNC, kInvalidArgument)           \
  X(EL3HLT, kDataLoss)                    \
  X(EL3RST, kDataLoss)                    \
  X(ELNRNG, kOutOfRange)                  \
  X(EUNATCH, kFailedPrecondition)         \
  X(ENOCSI, kFailedPrecondition)          \
  X(EL2HLT, kDataLoss)                    \
  X(EBADE, kInternal)                     \
  X(EBADR, kInvalidArgument)              \
  X(EXFULL, kResourceExhausted)           \
  X(ENOANO, kNotFound)                    \
  X(EBADRQC, kInvalidArgument)            \
  X(EBADSLT, kInvalidArgument)            \
  X(EBFONT, kInvalidArgument)             \
  X(ENOSTR, kInvalidArgument)             \
  X(ENODATA, kResourceExhausted)          \
  X(ETIME, kDeadlineExceeded)             \
  X(ENOSR, kResourceExhausted)            \
  X(ENONET, kUnavailable)                 \
  X(ENOPKG, kUnimplemented)               \
  X(EREMOTE, kUnavailable)                \
  X(ENOLINK, kUnavailable)                \
  X(EADV, kUnavailable)                   \
  X(ESRMNT, kUnavailable)                 \
  X(ECOMM, kUnavailable)                  \
  X(EPROTO, kInternal)                    \
  X(EMULTIHOP, kUnavailable)              \
  X(EDOTDOT, kFailedPrecondition)         \
  X(EBADMSG, kDataLoss)                   \
  X(EOVERFLOW, kOutOfRange)               \
  X(ENOTUNIQ, kAlreadyExists)             \
  X(EBADFD, kFailedPrecondition)          \
  X(EREMCHG, kNotFound)                   \
  X(ELIBACC, kFailedPrecondition)         \
  X(ELIBBAD, kFailedPrecondition)         \
  X(ELIBSCN, kFailedPrecondition)         \
  X(ELIBMAX, kResourceExhausted)          \
  X(ELIBEXEC, kFailedPrecondition)        \
  X(EILSEQ, kInvalidArgument)             \
  X(ERESTART, kUnavailable)               \
  X(ESTRPIPE, kUnavailable)               \
  X(EUSERS, kResourceExhausted)           \
  X(ENOTSOCK, kInvalidArgument)           \
  X(EDESTADDRREQ, kInvalidArgument)       \
  X(EMSGSIZE, kInvalidArgument)           \
  X(EPROTOTYPE, kInvalidArgument)         \
  X(ENOPROTOOPT, kInvalidArgument)        \
  X(EPROTONOSUPPORT, kUnimplemented)      \
  X(ESOCKTNOSUPPORT, kUnimplemented)      \
  X(EOPNOTSUPP, kUnimplemented)           \
  X(EPFNOSUPPORT, kUnimplemented)         \
  X(EAFNOSUPPORT, kUnimplemented)         \
  X(EADDRINUSE, kFailedPrecondition)      \
  X(EADDRNOTAVAIL, kUnavailable)          \
  X(ENETDOWN, kUnavailable)               \
  X(ENETUNREACH, kUnavailable)            \
  X(ENETRESET, kUnavailable)              \
  X(ECONNABORTED, kUnavailable)           \
  X(ECONNRESET, kUnavailable)             \
  X(ENOBUFS, kResourceExhausted)          \
  X(EISCONN, kFailedPrecondition)         \
  X(ENOTCONN, kFailedPrecondition)        \
  X(ESHUTDOWN, kFailedPrecondition)       \
  X(ETOOMANYREFS, kResourceExhausted)     \
  X(ETIMEDOUT, kDeadlineExceeded)         \
  X(ECONNREFUSED, kUnavailable)           \
  X(EHOSTDOWN, kUnavailable)              \
  X(EHOSTUNREACH, kUnavailable)           \
  X(EALREADY, kAlreadyExists)             \
  X(EINPROGRESS, kUnavailable)            \
  X(ESTALE, kAborted)                     \
  X(EUCLEAN, kDataLoss)                   \
  X(ENOTNAM, kFailedPrecondition)         \
  X(ENAVAIL, kNotFound)                   \
  X(EISNAM, kFailedPrecondition)          \
  X(EREMOTEIO, kDataLoss)                 \
  X(EDQUOT, kResourceExhausted)           \
  X(ENOMEDIUM, kNotFound)                 \
  X(EMEDIUMTYPE, kFailedPrecondition)     \
  X(ECANCELED, kCancelled)                \
  X(ENOKEY, kPermissionDenied)            \
  X(EKEYEXPIRED, kUnauthenticated)        \
  X(EKEYREVOKED, kUnauthenticated)        \
  X(EKEYREJECTED, kPermissionDenied)      \
  X(EOWNERDEAD, kDataLoss)                \
  X(ENOTRECOVERABLE, kFailedPrecondition) \
  X(ERFKILL, kPermissionDenied)           \
  X(EHWPOISON, kDataLoss)
// clang-format on

namespace weft::internal {
namespace {

// Unlike strerror(), strerrordesc_np() (glibc 2.32) uses no buffer, and so is thread-safe.
absl::string_view Text(int error) noexcept {
  const char* text = ::strerrordesc_np(error);
  return text == nullptr ? "unknown error" : text;
}

std::string Payload(int error) {
  const absl::string_view name = ErrnoName(error);
  return name.empty() ? absl::StrCat(error) : absl::StrCat(error, " (", name, ")");
}

}  // namespace

absl::StatusCode ErrnoToCode(int error) noexcept {
  switch (error) {
    case 0:
      return absl::StatusCode::kOk;
#define WEFT_ERRNO_CODE(name, code) \
  case name:                        \
    return absl::StatusCode::code;
      WEFT_ERRNOS(WEFT_ERRNO_CODE)
#undef WEFT_ERRNO_CODE
    default:
      return absl::StatusCode::kUnknown;
  }
}

absl::string_view ErrnoName(int error) noexcept {
  switch (error) {
#define WEFT_ERRNO_NAME(name, code) \
  case name:                        \
    return #name;
    WEFT_ERRNOS(WEFT_ERRNO_NAME)
#undef WEFT_ERRNO_NAME
    default:
      return "";
  }
}

absl::Status ErrnoToStatus(int error, absl::string_view what) {
  if (error == 0) return absl::OkStatus();
  const absl::string_view name = ErrnoName(error);
  std::string message =
      name.empty() ? absl::StrCat(what, ": errno ", error) : absl::StrCat(what, ": ", Text(error), " (", name, ")");
  absl::Status status(ErrnoToCode(error), message);
  // From a view: the string constructor is a template that Debian's Abseil, compiled by GCC, does not export to clang.
  status.SetPayload(kErrnoPayloadUrl, absl::Cord(absl::string_view(Payload(error))));
  return status;
}

}  // namespace weft::internal

namespace weft {

int ErrnoOf(const absl::Status& status) {
  const auto payload = status.GetPayload(internal::kErrnoPayloadUrl);
  if (!payload.has_value()) return 0;
  const std::string text(*payload);
  int error = 0;
  if (!absl::SimpleAtoi(absl::string_view(text).substr(0, text.find(' ')), &error) || error <= 0) return 0;
  return text == internal::Payload(error) || text == absl::StrCat(error) ? error : 0;
}

}  // namespace weft
