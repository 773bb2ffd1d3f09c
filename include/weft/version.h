// The version of Weft, for code that has to work with more than one version.
//
//   #if WEFT_VERSION >= 200   // 0.2.0
//
// Until 1.0 the interface may change with every minor version.
#ifndef WEFT_VERSION_H_
#define WEFT_VERSION_H_

#include "weft/internal/compiler.h"

#include <string_view>

#define WEFT_VERSION_MAJOR 0
#define WEFT_VERSION_MINOR 1
#define WEFT_VERSION_PATCH 0
#define WEFT_VERSION_STRING "0.1.0"

// 1.2.3 is 10203: a later version has a larger number.
#define WEFT_VERSION (WEFT_VERSION_MAJOR * 10000 + WEFT_VERSION_MINOR * 100 + WEFT_VERSION_PATCH)

namespace weft {

// The version of the headers that this file is compiled with.
inline constexpr int kVersion = WEFT_VERSION;
inline constexpr std::string_view kVersionString = WEFT_VERSION_STRING;

}  // namespace weft

#endif  // WEFT_VERSION_H_
