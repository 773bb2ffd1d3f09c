#include "weft/held_carrier.h"

#include <dlfcn.h>
#include <link.h>

#include <cstdint>
#include <string>

#include "absl/debugging/symbolize.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"

namespace weft {
namespace {

// "    main  (/usr/bin/program+0x1234)"
void AppendCall(std::string& text, void* at, bool innermost) {
  // All but the innermost are where the call returns to, which may be the next function already.
  char* const pc = static_cast<char*>(at) - (innermost ? 0 : 1);
  char name[1024];
  const bool known = absl::Symbolize(pc, name, sizeof(name));
  absl::StrAppend(&text, "\n    ", known ? name : "(unknown)");
  Dl_info object;
  void* loaded = nullptr;
  if (::dladdr1(pc, &object, &loaded, RTLD_DL_LINKMAP) == 0 || object.dli_fname == nullptr) return;
  // As addr2line(1) wants it: as the object was linked.
  const uintptr_t linked_at = reinterpret_cast<uintptr_t>(pc) - static_cast<const link_map*>(loaded)->l_addr;
  absl::StrAppendFormat(&text, "  (%s+0x%x)", object.dli_fname, linked_at);
}

}  // namespace

std::string HeldCarrier::ToString() const {
  std::string text = thread == 0 ? "a virtual thread" : absl::StrCat("VirtualThread[#", thread);
  if (thread != 0) absl::StrAppend(&text, name.empty() ? "" : ",", std::string(name), "]");
  absl::StrAppend(&text, " has held carrier ", carrier, " for ", absl::FormatDuration(held));
  for (size_t i = 0; i < stack.size(); ++i) AppendCall(text, stack[i], i == 0);
  return text;
}

}  // namespace weft
