#include "lib/testing/model/sites.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "weft/internal/check.h"

namespace weft::internal::model {
namespace {

constinit Site* first_site = nullptr;

std::vector<Order> OneStepWeaker(Order order) {
  switch (order) {
    case Order::seq_cst:
      return {Order::acq_rel};
    case Order::acq_rel:
      return {Order::acquire, Order::release};
    case Order::acquire:
    case Order::consume:
    case Order::release:
      return {Order::relaxed};
    case Order::relaxed:
      return {};
  }
  return {};
}

// deque/2 before deque/10.
bool ComesFirst(const Weakening& a, const Weakening& b) {
  const std::string_view x = a.site->label, y = b.site->label;
  if (x.size() != y.size()) return x.size() < y.size();
  if (x != y) return x < y;
  return a.order < b.order;
}

}  // namespace

Site::Site(const char* its_label, Order order) noexcept
    : label(its_label), declared(order), used(order), next(first_site) {
  first_site = this;
}

std::string Weakening::Text() const {
  return absl::StrCat(site->label, " ", OrderName(site->declared), " -> ", OrderName(order));
}

std::vector<Weakening> WeakeningsOf(std::string_view component) {
  std::vector<Weakening> found;
  for (Site* site = first_site; site != nullptr; site = site->next) {
    const std::string_view label = site->label;
    if (label.substr(0, label.find('/')) != component) continue;
    for (Order order : OneStepWeaker(site->declared)) found.push_back({site, order});
  }
  std::sort(found.begin(), found.end(), ComesFirst);
  return found;
}

Weakened::Weakened(const Weakening& weakening) noexcept : site_(weakening.site) {
  WEFT_CHECK(site_->used == site_->declared) << "two weakenings of " << site_->label << " at once";
  site_->used = weakening.order;
}

Weakened::~Weakened() { site_->used = site_->declared; }

const char* OrderName(Order order) noexcept {
  switch (order) {
    case Order::relaxed:
      return "relaxed";
    case Order::consume:
      return "consume";
    case Order::acquire:
      return "acquire";
    case Order::release:
      return "release";
    case Order::acq_rel:
      return "acq_rel";
    case Order::seq_cst:
      return "seq_cst";
  }
  return "an unknown order";
}

}  // namespace weft::internal::model
