// RunMain() of a Task whose result is no exit code.
// expect: RunMain() takes a Task of absl::Status, int or void
#include <string>

#include "absl/status/status.h"
#include "weft/weft.h"

#ifdef MISUSE
weft::Task<std::string> Main();
#else
weft::Task<absl::Status> Main();
#endif

int main() { return weft::RunMain(Main()); }
