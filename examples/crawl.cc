// Many things, a few of them at the same time.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "weft/weft.h"

namespace {

constexpr int kPages = 10;

struct Page {
  std::string url;
  std::vector<std::string> links;
};

std::atomic<int> fetching = 0;
std::atomic<int> most_fetching = 0;

// Page n links to 2n and 2n + 1.
weft::Task<absl::StatusOr<Page>> Fetch(int n) {
  const int now = ++fetching;
  for (int most = most_fetching; most < now && !most_fetching.compare_exchange_weak(most, now);) {
  }
  co_await weft::Sleep(absl::Milliseconds(1));
  --fetching;
  Page page{absl::StrCat("/", n), {}};
  for (int link : {2 * n, 2 * n + 1}) {
    if (link <= kPages) page.links.push_back(absl::StrCat("/", link));
  }
  co_return page;
}

int NumberOf(const std::string& url) { return std::stoi(url.substr(1)); }

// clang-format off
//! [crawl]
// Results as they come, more work for each, and never more than three at once.
weft::Task<absl::StatusOr<std::vector<std::string>>> Crawl(int first) {
  weft::AsCompleted<Page> scope({.max_concurrency = 3});
  scope.Fork(Fetch(first));
  std::vector<std::string> seen;
  while (auto next = co_await scope.NextCompleted()) {   // none is left: an empty optional
    if (!next->status().ok()) co_return co_await scope.Close(next->status());
    seen.push_back((*next)->url);
    for (const std::string& link : (*next)->links) scope.Fork(Fetch(NumberOf(link)));
  }
  (co_await scope.Join()).IgnoreFailures();
  co_return seen;
}
//! [crawl]
// clang-format on

weft::Task<absl::Status> Main() {
  absl::StatusOr<std::vector<std::string>> seen = co_await Crawl(1);
  if (!seen.ok()) co_return seen.status();
  std::ranges::sort(*seen, {}, NumberOf);
  std::printf("%zu pages, from %s to %s; at most three at once: %s\n", seen->size(), seen->front().c_str(),
              seen->back().c_str(), most_fetching <= 3 ? "yes" : "no");

  // The same for a range that is known beforehand: results in the order of the range.
  const std::vector<int> numbers = {5, 4, 3};
  const absl::StatusOr<std::vector<Page>> pages = co_await weft::Map(numbers, 2, Fetch);
  if (!pages.ok()) co_return pages.status();
  for (const Page& page : *pages) std::printf("%s has %zu links\n", page.url.c_str(), page.links.size());

  const absl::Status stored = co_await weft::ForEach(*pages, 2, [](const Page& page) -> weft::Task<absl::Status> {
    if (page.links.empty()) co_return absl::InvalidArgumentError(absl::StrCat(page.url, " leads nowhere"));
    co_return absl::OkStatus();
  });
  std::printf("stored: %s\n", stored.ToString().c_str());
  co_return absl::OkStatus();
}

}  // namespace

int main() { return weft::RunMain(Main()); }
