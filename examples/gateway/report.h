// The report: what had to hold, whether it held, and all of it as text.
#ifndef WEFT_EXAMPLES_GATEWAY_REPORT_H_
#define WEFT_EXAMPLES_GATEWAY_REPORT_H_

#include <string>

#include "nlohmann/json.hpp"

namespace gateway {

// Adds to `report` "checks": [{"what": ..., "held": true, "found": ...}, ...] and "ok": whether all held.
void Judge(nlohmann::json& report);

// Has the dashboard's whole answer taken hardly longer than its slowest call?
bool TookHardlyLonger(const nlohmann::json& parallel);
// Have threads moved meanwhile?
bool HasMoved(const nlohmann::json& parallel);

// For people.
std::string ToText(const nlohmann::json& report);

}  // namespace gateway

#endif  // WEFT_EXAMPLES_GATEWAY_REPORT_H_
