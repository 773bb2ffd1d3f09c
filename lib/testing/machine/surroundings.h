// Layer testing. What the parts of a machine share.
#ifndef WEFT_LIB_TESTING_MACHINE_SURROUNDINGS_H_
#define WEFT_LIB_TESTING_MACHINE_SURROUNDINGS_H_

#include "lib/testing/machine/chance.h"
#include "lib/testing/machine/routes.h"
#include "lib/testing/machine/wire.h"

namespace weft::internal::machine {

struct Surroundings {
  explicit Surroundings(const Chance::Options& options) noexcept : chance(options) {}

  Chance chance;
  Routes routes;
  Wire wire;  // last: what is under way touches the others
};

}  // namespace weft::internal::machine

#endif  // WEFT_LIB_TESTING_MACHINE_SURROUNDINGS_H_
