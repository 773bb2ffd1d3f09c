// A directory of a test's own, by means of the standard library.
#ifndef WEFT_TESTS_FS_SCRATCH_H_
#define WEFT_TESTS_FS_SCRATCH_H_

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <ios>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace weft::testing {

class Scratch {
 public:
  Scratch() : path_(::testing::TempDir() + "/fs_XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) std::abort();
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { std::filesystem::remove_all(path_); }

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

  void Write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(*this / name).parent_path());
    std::ofstream(*this / name) << text;
  }
  std::string Read(const std::string& name) const {
    std::ifstream file(*this / name);
    std::string text(std::filesystem::file_size(*this / name), '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    return text;
  }
  // Of everything below, from here; sorted.
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path_)) {
      names.push_back(std::filesystem::relative(entry.path(), path_).string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  bool Has(const std::string& name) const { return std::filesystem::exists(*this / name); }

 private:
  std::string path_;
};

}  // namespace weft::testing

#endif  // WEFT_TESTS_FS_SCRATCH_H_
