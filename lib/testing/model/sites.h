// The labelled orders of the code that was compiled, and how to weaken one.
//
//   for (const model::Weakening& weakening : model::WeakeningsOf("deque")) {
//     model::Weakened weakened(weakening);     // until the end of the block
//     EXPECT_NE(model::Explore<...>(...).violation, "");
//   }
//
// A step weaker is: seq_cst -> acq_rel; acq_rel -> acquire, and -> release; acquire or release -> relaxed. A load takes
// of acq_rel the acquire, and a store the release. A fence that is weaker than seq_cst is a fence of that order, a
// light fence none at all, and a heavy fence a seq_cst fence of its own thread.
//
// A site is known when any code that names it was compiled into the program, whether or not it ever runs.
#ifndef WEFT_LIB_TESTING_MODEL_SITES_H_
#define WEFT_LIB_TESTING_MODEL_SITES_H_

#include <string>
#include <string_view>
#include <vector>

#include "lib/testing/model/model_atomic.h"

namespace weft::internal::model {

struct Weakening {
  Site* site;
  Order order;

  // "deque/2 release -> relaxed"
  std::string Text() const;
};

// Of all sites "component/...", by label.
std::vector<Weakening> WeakeningsOf(std::string_view component);

class Weakened {
 public:
  explicit Weakened(const Weakening& weakening) noexcept;
  Weakened(const Weakened&) = delete;
  Weakened& operator=(const Weakened&) = delete;
  ~Weakened();

 private:
  Site* const site_;
};

const char* OrderName(Order order) noexcept;

}  // namespace weft::internal::model

#endif  // WEFT_LIB_TESTING_MODEL_SITES_H_
